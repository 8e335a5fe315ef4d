# Validates every request of trimtab and every response of the sandbox against Fly's own OpenAPI document. This is a part of
# scripts/conformance, which sources it.
#
# The scripted sessions (tests/scripts), the lifecycle of every manifest and the sandbox's own tests run once more, while the
# sandbox records every exchange. openapi-core, a third-party validator, checks the record (check.py). Where the document is
# wrong about the service, deviations.toml lists the deviation, with the source that is right.
# shellcheck shell=bash disable=SC2154

openapi="tests/conformance/openapi"
# The document as Fly published it, or the copy that the sandbox's own tests use.
document=""
for file in ../shared/reference/fly-machines-openapi.json crates/sandbox/tests/wire/fly-machines-openapi.json; do
  [ -n "$document" ] || [ ! -f "$file" ] || document="$file"
done

# Run tests while the sandbox records. The sandbox's own are run as `cargo test` has built them: for its package alone cargo would
# choose fewer features, and build everything again.
records() { TRIMTAB_SANDBOX_RECORD="$work/exchanges" cargo test --locked --quiet -p trimtab --test it -- "$@"; }
records_sandbox() {
  local tests
  tests=$(cargo test --locked --no-run 2>&1 | sed -n 's#.*Executable tests/it/main.rs (\(.*\))#\1#p' | tail -1)
  [ -x "$tests" ] || return 1
  (cd crates/sandbox && TRIMTAB_SANDBOX_RECORD="$work/exchanges" "../../$tests" --quiet "$@")
}
holds() { "$venv/bin/python" "$openapi/check.py" "$document" "$openapi/deviations.toml" "$@"; }
# Breaks the first exchange that matches a pattern, and expects this error.
finds() {
  step "the check of exchanges finds $1"
  grep -m1 "$2" "$work/exchanges" | sed "$3" >"$work/doctored"
  ends "$name" 1 "$4" holds "$work/doctored"
}

if [ -z "$document" ]; then
  printf "skip  Fly's OpenAPI document is not at hand: nothing is at ../shared/reference/fly-machines-openapi.json\n"
else
  # The sessions run alone: their output depends on timely responses, which a busy machine does not give.
  checks "the scripted sessions are recorded" records scripts::
  checks "the lifecycles of the manifests are recorded" records manifest_lifecycle::
  checks "the sandbox's own tests are recorded" records_sandbox --skip aws::
  checks "every exchange keeps Fly's OpenAPI document, or its deviation is listed" holds "$work/exchanges"
  sed 's/^/      /' "$work/out"

  volume='"method":"POST","path":"/v1/apps/[a-z-]*/volumes",.*"status":200'
  machine='"method":"GET","path":"/v1/apps/[a-z-]*/machines/[0-9a-f]*",.*"status":200'
  finds "a request with a value of another type" "trimtab/.*$volume" 's/\\"size_gb\\":[0-9]*/\\"size_gb\\":\\"ten\\"/g' \
    "not listed: request CreateVolumeRequest.size_gb is a string"
  finds "a request with a misspelt key" "trimtab/.*$volume" 's/\\"size_gb\\":/\\"size_bg\\":/g' \
    "not listed: request CreateVolumeRequest.size_bg unknown"
  finds "a request with an unknown parameter" "trimtab/.*$volume" 's/"query":""/"query":"size=3"/' \
    "not listed: request ?size unknown"
  finds "a path that is no operation" "trimtab/.*$volume" 's#"path":"/v1/apps/#"path":"/v1/app/#' \
    "no operation of the document"
  finds "an answer that lacks a property" "$machine" \
    's#\\"config\\":{#\\"config\\":{\\"statics\\":[{\\"guest_path\\":\\"/a\\"}],#' \
    "not listed: answer fly.Static.url_prefix missing"
  finds "an answer with a word that is none of the document's" "$machine" \
    's/\\"host_status\\":\\"ok\\"/\\"host_status\\":\\"fine\\"/' 'not listed: answer Machine.host_status is "fine"'
  finds "an answer with an unknown status" "$machine" 's/"status":200}$/"status":299}/' \
    "not listed: answer status is 299"
  finds "a deviation that does not occur" "$machine" '' "listed, but it does not occur: answer body of 201 unknown"
fi
