# Judges of the generated workflows that are not ours: GitHub's own parser, actionlint, and zizmor in its strictest persona. This
# is a part of scripts/conformance, which sources it.
#
# The workflows are those that tests/it stores for every project of the repository (tests/workflows). What a judge reports by
# mistake is listed here, with the reason; anything else is an error, and so is a tool that cannot be installed.
# shellcheck shell=bash disable=SC2154

stored=(tests/workflows/*/*.yml)

step "node and npm are installed"
command -v node >/dev/null && command -v npm >/dev/null || { echo "install Node.js 20 or newer"; false; }
step "GitHub's parser is installed"
parser="$target/conformance-workflow-parser"
if ! cmp -s tests/conformance/workflows/package-lock.json "$parser/installed"; then
  rm -rf "$parser"
  mkdir -p "$parser"
  cp tests/conformance/workflows/package.json tests/conformance/workflows/package-lock.json "$parser"
  npm ci --prefix "$parser" --ignore-scripts --no-audit --no-fund >"$work/npm.log" 2>&1 || { cat "$work/npm.log"; false; }
  cp tests/conformance/workflows/package-lock.json "$parser/installed"
fi
ok
parses() { node tests/conformance/workflows/parse.mjs "$parser/node_modules" "$@"; }
checks "GitHub's parser takes the generated workflows" parses "${stored[@]}"
sed 's/runs-on:/run-on:/' "${stored[0]}" >"$work/misspelt.yml"
refuses "GitHub's parser refuses a misspelt key" parses "$work/misspelt.yml"

# A repository for each project: actionlint and zizmor look for the workflow that is called.
repositories="$work/repositories"
for file in "${stored[@]}"; do
  repository="$repositories/$(basename "$(dirname "$file")")"
  mkdir -p "$repository/.git" "$repository/.github/workflows"
  cp "$file" "$repository/.github/workflows/"
  for called in $(sed -n 's#^ *uses: \./##p' "$file"); do
    cp tests/conformance/workflows/called.yml "$repository/$called"
  done
done
# - `queue` is younger than this actionlint (https://github.blog/changelog, 2026-05-07); GitHub's parser knows it.
lints() { actionlint -no-color -ignore 'unexpected key "queue" for "concurrency" section' "$@"; }
checks "actionlint accepts the generated workflows" lints "$repositories"/*/.github/workflows/trimtab-*.yml
sed 's/needs\.plan\.outputs\.expect/needs.plan.outputs.expekt/' \
  "$repositories/harbor/.github/workflows/trimtab-deploy-production.yml" >"$work/expekt.yml"
refuses "actionlint refuses an output that no job has" lints "$work/expekt.yml"

# - self-repository asks for `uses: $/…`, which actionlint does not know yet.
cat >"$work/zizmor.yml" <<'CONFIG'
rules:
  self-repository:
    disable: true
CONFIG
audits() { "$venv/bin/zizmor" --offline --no-progress --persona=auditor --config "$work/zizmor.yml" "$@"; }
checks "zizmor finds nothing in the generated workflows" audits "$repositories"/*/.github/workflows/trimtab-*.yml
sed 's/run: exec trimtab plan/run: echo "${{ github.event.pull_request.title }}" \&\& exec trimtab plan/' \
  "$repositories/harbor/.github/workflows/trimtab-plan.yml" >"$work/injected.yml"
refuses "zizmor finds text from outside in a script" audits "$work/injected.yml"
