#!/usr/bin/env python3
"""The lock of an environment on a third-party S3 server: how the server handles conditional writes, and how trimtab
uses them, with several runs at once.

Usage: lock.py TRIMTAB ENVIRONMENTS. It expects an S3 without a bucket `team-locks`, and the standard AWS variables for
credentials and endpoints.
"""
import concurrent.futures
import json
import re
import subprocess
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

trimtab, environments = sys.argv[1:]
BUCKET, KEY = "team-locks", ".trimtab/locks/ledger/production.json"
s3 = boto3.client("s3", config=Config(retries={"max_attempts": 1}, max_pool_connections=16))


def status(call, **arguments):
    try:
        return call(Bucket=BUCKET, **arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def start(command, *arguments):
    """A running trimtab process."""
    command = [trimtab, command, "production", "--environments", environments, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(run, code, *words):
    """Its output, after it has exited with this code and printed these words."""
    printed, _ = run.communicate(timeout=180)
    assert run.returncode == code, f"{run.args[1]} ended with {run.returncode}, not {code}\n{printed}"
    for word in words:
        assert word in printed, f"{run.args[1]} does not say {word!r}\n{printed}"
    return printed


def apply(*arguments):
    return start("apply", "--yes", *arguments)


def version(tag):
    return apply("--image", f"web=registry.fly.io/ledger-web:{tag}")


def record():
    """The content of the lock object."""
    return json.loads(s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read())


def held():
    """Waits until a run holds the lock."""
    for _ in range(100):
        there = record()
        if not there["released"]:
            return there
        time.sleep(0.1)
    raise AssertionError("nobody takes the lock")


def no_bucket():
    """A lock whose bucket is missing is an error, and nothing is begun."""
    end(apply(), 1, "there is no bucket team-locks")
    end(start("drift"), 2, "4 missing")


def conditions():
    """The server honours conditional requests: If-None-Match, If-Match, 412 and 404."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put = lambda **more: status(s3.put_object, Key="a", Body=b"x", **more)
    assert put(IfMatch='"0"') == 404, "If-Match where nothing is"
    assert put(IfNoneMatch="*") == 200, "If-None-Match where nothing is"
    assert put(IfNoneMatch="*") == 412, "If-None-Match where something is"
    tag = s3.head_object(Bucket=BUCKET, Key="a")["ETag"]
    assert status(s3.put_object, Key="a", Body=b"y", IfMatch=tag) == 200, "If-Match of what is there"
    assert put(IfMatch=tag) == 412, "If-Match of what was there"


def race():
    """Of sixteen concurrent conditional writes one succeeds."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        write = lambda number: status(s3.put_object, Key="race", Body=str(number).encode(), IfNoneMatch="*")
        answers = sorted(pool.map(write, range(16)))
    assert answers[0] == 200 and answers[1:] == sorted(answers[1:]) and set(answers[1:]) <= {409, 412}, answers


def taken():
    """A run acquires the lock, and releases it."""
    end(apply(), 0, "Verified: a new plan is empty.")
    there = record()
    assert there["released"] is True and there["command"].startswith("trimtab apply production"), there
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=".trimtab/")["Versions"]
    assert {one["Key"] for one in versions} == {KEY}, versions
    end(start("unlock"), 0, "Nobody holds the lock.")


def apart():
    """A second run waits for the first, prints the holder, and does nothing twice."""
    first = version("two")
    there = held()
    second = version("two")
    end(start("unlock"), 0, "holds the lock until")
    said = end(second, 0, "Waiting for the lock", "Another run was at work meanwhile", "Nothing is left to do")
    end(first, 0, "Applied: 1 done.")
    assert str(there["pid"]) in said, said


def died():
    """The lock of a killed run is released by its id, and only by that."""
    run = version("three")
    held()
    run.kill()
    run.communicate()
    end(apply("--lease-timeout", "1s"), 1, "did not let go")
    (found,) = re.findall(r"--id (\S+)", end(start("unlock"), 0))
    end(start("unlock", "--id", "0" * len(found)), 1, "does not hold it")
    end(start("unlock", "--id", found), 0, "Ended the lock")
    end(start("unlock"), 0, "was ended")
    assert record()["unlocked"] is True
    # Nobody can tell that the run is dead, so the next one waits for the expiry.
    end(version("three"), 0, "Waiting for the lock", "Verified: a new plan is empty.")
    end(start("unlock", "--id", found), 1, "nobody holds it")


def no_lock():
    """An object in the lock's place that is not a lock is left alone."""
    there = s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"a note of somebody")
    end(version("four"), 1, "is not a lock")
    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"a note of somebody"
    # Overwritten, not deleted and created again: for versitygw's If-None-Match a delete marker is an existing object.
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=there)


def destroyed():
    """A run that destroys the environment acquires the lock too."""
    end(start("destroy", "--yes"), 0)
    there = record()
    assert there["released"] is True and there["command"].startswith("trimtab destroy production"), there


for check in (no_bucket, conditions, race, taken, apart, died, no_lock, destroyed):
    about = check.__doc__.rstrip(".")
    try:
        check()
    except (AssertionError, ClientError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        print(f"FAIL  lock: {about}: {type(error).__name__}: {error}")
        sys.exit(1)
    print(f"ok    lock: {about[0].lower()}{about[1:]}", flush=True)
