# Validates every exchange with the imitation of GitHub against GitHub's own OpenAPI description. This is a part of
# scripts/conformance, which sources it.
#
# github.json is a part of that description, cut out by github_slice.py. The sandbox's own tests run while it records; the sessions
# of run.sh are checked as well, if they were recorded. Where the description is wrong about the service, deviations-github.toml
# lists the deviation.
# shellcheck shell=bash disable=SC2154

holds_github() { "$venv/bin/python" "$openapi/check_github.py" "$openapi/github.json" "$openapi/deviations-github.toml" "$@"; }
records_github() { TRIMTAB_SANDBOX_RECORD="$work/github" cargo test --locked --quiet -p trimtab-sandbox --test it -- github::; }
# Breaks the first exchange that matches a pattern, and expects this error.
finds_github() {
  step "the check of exchanges with GitHub finds $1"
  grep -m1 "$2" "$work/github" | sed "$3" >"$work/doctored"
  ends "$name" 1 "$4" holds_github "$work/doctored"
}

checks "the sandbox's own tests of GitHub are recorded" records_github
recorded=("$work/github")
[ ! -f "$work/exchanges" ] || recorded+=("$work/exchanges")
checks "every exchange keeps GitHub's OpenAPI description, or its deviation is listed" holds_github "${recorded[@]}"
sed 's/^/      /' "$work/out"

comment='"method":"POST","path":"/github/repos/acme/shop/issues/[0-9]*/comments".*"status":201'
finds_github "a request without its body" "$comment" 's/\\"body\\":\\"[^"]*\\"/\\"text\\":\\"x\\"/g' \
  "not listed: request POST /repos/{owner}/{repo}/issues/{issue_number}/comments request.body missing"
finds_github "an answer with an unknown property" "$comment" 's/\\"issue_url\\":/\\"isue_url\\":/' \
  "not listed: answer issue-comment.isue_url unknown"
finds_github "an answer that lacks a property" "$comment" 's/\\"issue_url\\":/\\"isue_url\\":/' \
  "not listed: answer issue-comment.issue_url missing"
finds_github "an answer with a word that is none of the description's" "$comment" \
  's/\\"author_association\\":\\"[A-Z]*\\"/\\"author_association\\":\\"FRIEND\\"/' \
  'not listed: answer author-association is "FRIEND"'
finds_github "an answer with an unknown status" "$comment" 's/"status":201}$/"status":299}/' "not listed: answer status is 299"
finds_github "a deviation that does not occur" "$comment" '' "listed, but it does not occur: answer body of 409 unknown"
