# Octokit, GitHub's own client, drives the imitation of GitHub, and the payloads of its events are held to the schemas that Octokit
# publishes. This is a part of scripts/conformance, which sources it. It needs Node.js 20 and npm.
# shellcheck shell=bash disable=SC2154

github="tests/conformance/github"
for tool in node npm; do
  step "$tool is installed"
  command -v "$tool" >/dev/null
done

step "GitHub's client is installed"
node_folder="$target/conformance-node"
if ! cmp -s "$github/package-lock.json" "$node_folder/package-lock.json"; then
  rm -rf "$node_folder"
  mkdir -p "$node_folder"
  cp "$github/package.json" "$github/package-lock.json" "$node_folder"
  npm --prefix "$node_folder" ci --silent --ignore-scripts --no-audit --no-fund || { rm -f "$node_folder/package-lock.json"; exit 1; }
fi
cp "$github/octokit.mjs" "$node_folder"
ok

step "GitHub's client"
mkdir -p "$work/events"
admin_token=$("$venv/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["admin_token"])' "$work/sandbox/server.json")
node "$node_folder/octokit.mjs" "${GITHUB_API_URL%/github}" "$admin_token" "$work/events" || exit 1

for payload in "$work"/events/*.json; do
  checks "the payload of $(basename "$payload" .json) keeps its schema" \
    "$venv/bin/check-jsonschema" --schemafile "${payload%.json}.schema" "$payload"
done
sed 's/"number"/"nummer"/' "$work/events/merge_group-number.json" | sed 's/"head_sha"/"haed_sha"/' >"$work/misspelt.json"
refuses "the schema refuses a misspelt payload" \
  "$venv/bin/check-jsonschema" --schemafile "$work/events/merge_group-number.schema" "$work/misspelt.json"
