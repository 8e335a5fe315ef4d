# The AWS part of scripts/conformance, which sources this: trimtab against moto and versitygw, checked with the AWS SDK
# for Python.
#
# Fly is trimtab's own sandbox here. AWS is moto, with extensions for what it lacks in server.py, where both are listed.
# For the lock, S3 is versitygw, which stores objects, versions and conditions on disk. versitygw has no bucket
# encryption, public access block and lifecycle, so a bucket cannot be managed there; and for its If-None-Match a delete
# marker is an existing object, unlike for S3.
# shellcheck shell=bash disable=SC1091,SC2154

aws="tests/conformance/aws"
python="$venv/bin/python"

# No profile, session or endpoint of this machine is used.
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ROLE_ARN AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_STS
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true

reads() {
  step "boto3 reads $*"
  "$python" "$aws/readback.py" "$@"
}
# What others have created in the account.
others() { "$python" "$aws/account.py" "$@"; }
# A free port on the loopback interface.
port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

step "moto serves"
serve "$work/moto" AWS_DEFAULT_REGION "$python" "$aws/server.py" "$work/requests"
source "$work/moto"
# From here on AWS is not the sandbox, and the clock runs at normal speed.
unset TRIMTAB_SANDBOX_SPEED
ok

# The defaults, in a personal organization, whose raw slug only Fly knows.
step "a sandbox of a personal organization serves"
serve "$work/personal" FLY_SYNTHETICS_AGENT \
  "$TRIMTAB" sandbox --dir "$work/personal.state" --listen 127.0.0.1:0 --org personal --speed 20
ok
ledger() (
  source "$work/personal"
  source "$work/moto"
  unset TRIMTAB_SANDBOX_SPEED
  "$TRIMTAB" "$1" production --environments "${manifests:-tests/manifests/ledger}" "${@:2}"
)
slug() (
  source "$work/personal"
  "$python" - <<'END'
import json, os, urllib.request as web
query = json.dumps({"query": '{ organization(slug: "personal") { rawSlug } }'}).encode()
headers = {"Authorization": "Bearer " + os.environ["FLY_API_TOKEN"], "Content-Type": "application/json"}
answer = web.urlopen(web.Request(os.environ["FLY_API_BASE_URL"] + "/graphql", query, headers))
print(json.load(answer)["data"]["organization"]["rawSlug"])
END
)
mkdir "$work/other"
sed 's/^account = .*/account = "999999999999"/' tests/manifests/ledger/production.toml >"$work/other/production.toml"
manifests="$work/other" ends "nothing is done with the keys of another account" 1 "the manifest says 999999999999" \
  ledger apply --yes
reads nothing
ends "the defaults are applied" 0 "Verified: a new plan is empty." ledger apply --yes
ends "the defaults are there" 0 "No drift." ledger drift
reads ledger "$(slug)"
ends "a bucket is not removed unasked" 3 "aws.bucket/backups" ledger destroy --yes
ends "the defaults are removed" 0 "Verified: a new plan is empty." ledger destroy --yes --allow-destroy aws.bucket/backups
reads nothing

# Settings beyond the defaults, twice in one organization.
checks "the manifests keep their schema" schema environment "$aws"/environments/*.toml "$aws"/locked/*.toml
manifests="$aws/environments"
vault() { "$TRIMTAB" "$1" "$2" --environments "$manifests" "${@:3}"; }
lost=(--allow-destroy aws.bucket/archive --allow-destroy aws.bucket/uploads --allow-destroy aws.bucket/scratch)

step "a policy that somebody else manages"
others policy bounds
ok
ends "a run stops where a policy is missing" 4 "policy/extra does not exist" vault apply production --yes
others policy extra
ends "the next run does what is left" 0 "Verified: a new plan is empty." vault apply production --yes
ends "the environment is there" 0 "No drift." vault drift production
reads "vault production"
ends "another environment of the organization" 0 "Verified: a new plan is empty." vault apply staging --yes
reads "vault staging"
step "AWS's list of actions"
"$python" "$aws/policies.py" "$TRIMTAB" "$manifests"
step "changes behind trimtab's back"
"$python" "$aws/tamper.py" "$TRIMTAB" "$manifests"

# Removal.
ends "what is protected is not removed" 3 "aws.role/auditor (vault-production-auditor) is protected" \
  vault destroy production --yes "${lost[@]}"
ends "and nothing else is" 0 "No drift." vault drift production
mkdir "$work/open"
for file in "$manifests"/*.toml; do sed '/^protected = true$/d' "$file" >"$work/open/$(basename "$file")"; done
manifests="$work/open"
ends "the protection is lifted" 0 "Verified: a new plan is empty." vault apply production --yes
others write vault-production-uploads-123456789012 theirs
ends "a bucket that holds something is not removed" 3 "theirs" vault destroy production --yes "${lost[@]}"
others empty vault-production-uploads-123456789012
ends "an environment is removed" 0 "Verified: a new plan is empty." vault destroy production --yes "${lost[@]}"
reads gone vault production
reads "vault staging"
ends "the last environment is removed" 0 "Verified: a new plan is empty." vault destroy staging --yes "${lost[@]:0:2}"
reads nothing

# What existed before.
others bucket vault-staging-archive-123456789012 eu-central-1
ends "a bucket of somebody else is not taken over" 3 "bears nobody's mark" vault apply staging --yes
ends "nor removed" 0 "" vault destroy staging --yes "${lost[@]:0:2}"
others there bucket vault-staging-archive-123456789012
others provider acme
ends "but taken over when asked, and a provider used" 0 "Verified: a new plan is empty." \
  vault apply staging --yes --adopt aws.bucket/archive
ends "the provider stays" 0 "Verified: a new plan is empty." vault destroy staging --yes "${lost[@]:0:2}"
others there provider oidc.fly.io/acme
others remove provider oidc.fly.io/acme
reads nothing
reads owners "$work/requests"

# The lock, on an S3 server that stores to disk.
step "versitygw is built"
go -C "$aws/gateway" build -o "$work/versitygw" github.com/versity/versitygw/cmd/versitygw
ok
step "versitygw serves"
# File attributes hold the metadata of an object, so that both change atomically.
mkdir "$work/objects" "$work/versions"
gateway=$(port)
# Expected owners are account ids, and the server's own is its access key.
export AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=only-for-the-gateway
ROOT_ACCESS_KEY="$AWS_ACCESS_KEY_ID" ROOT_SECRET_KEY="$AWS_SECRET_ACCESS_KEY" "$work/versitygw" \
  --port "127.0.0.1:$gateway" --quiet posix --versioning-dir "$work/versions" \
  "$work/objects" >"$work/versitygw.log" 2>&1 &
servers+=($!)
for _ in $(seq 100); do
  (: <"/dev/tcp/127.0.0.1/$gateway") 2>/dev/null && break
  kill -0 "${servers[-1]}" 2>/dev/null || break
  sleep 0.1
done
(: <"/dev/tcp/127.0.0.1/$gateway") || { cat "$work/versitygw.log"; exit 1; }
export AWS_ENDPOINT_URL_S3="http://127.0.0.1:$gateway"
ok
step "the lock"
"$python" "$aws/lock.py" "$TRIMTAB" "$aws/locked"
mkdir "$work/east"
sed 's/^region = .*/region = "us-east-1"/' "$aws/environments/staging.toml" >"$work/east/staging.toml"
manifests="$work/east"
ends "what an S3 does not have is told, not assumed" 4 "NotImplemented" \
  vault apply staging --yes --only aws.bucket/archive
unset AWS_ENDPOINT_URL_S3
