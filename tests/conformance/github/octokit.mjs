// Octokit, GitHub's own client, talks to the imitation of GitHub: it pages through lists by their links, reads errors, follows a
// renamed repository, and its throttling plugin recognises both kinds of rate limits.
//
// Usage: octokit.mjs SANDBOX_URL ADMIN_TOKEN EVENTS_FOLDER. Prints a line for each check and stops at the first failure. Writes the
// payload of each kind of event to the folder, with the schema that it must keep.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Octokit } from "@octokit/core";
import { paginateRest } from "@octokit/plugin-paginate-rest";
import { restEndpointMethods } from "@octokit/plugin-rest-endpoint-methods";
import { throttling } from "@octokit/plugin-throttling";

const [url, adminToken, eventsFolder] = process.argv.slice(2);
const baseUrl = `${url}/github`;
const repository = "octo-org/judged";
const repo = { owner: "octo-org", repo: "judged" };

async function admin(command, body) {
  const response = await fetch(`${url}/_sandbox/github/${command}`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, `${command}: ${JSON.stringify(answer)}`);
  return answer;
}

async function check(name, run) {
  await run();
  console.log(`ok    octokit: ${name}`);
}

const write = Object.fromEntries(["actions", "deployments", "issues", "pull_requests"].map((name) => [name, "write"]));
const Client = Octokit.plugin(paginateRest, restEndpointMethods);
async function client(kind, permissions = write, Kind = Client, options = {}) {
  const { token } = await admin("tokens", { kind, repositories: [repository], permissions });
  return new Kind({ auth: token, baseUrl, userAgent: "judge", log: { ...console, debug() {}, info() {}, warn() {}, error() {} }, ...options });
}

await admin("repositories", { name: repository });
const { number } = await admin("pulls", { repository, head: "feature" });
const octokit = await client("actions");

await check("pages through comments", async () => {
  for (let n = 0; n < 130; n += 1) await admin("comments", { repository, number, body: String(n) });
  const sizes = [];
  const comments = await octokit.paginate(
    octokit.rest.issues.listComments,
    { ...repo, issue_number: number, per_page: 50 },
    (page) => { sizes.push(page.data.length); return page.data; },
  );
  assert.deepEqual(sizes, [50, 50, 30]);
  assert.deepEqual(comments.map((comment) => comment.body), Array.from({ length: 130 }, (_, n) => String(n)));
});

await check("pages through variables, whose pages are smaller", async () => {
  const variables = Object.fromEntries(Array.from({ length: 70 }, (_, n) => [`V${n}`, "x"]));
  await admin("variables", { repository, variables });
  const person = await client("fine", { actions_variables: "read" });
  let pages = 0;
  const all = await person.paginate(
    person.rest.actions.listRepoVariables,
    { ...repo, per_page: 100 },
    (page) => { pages += 1; return page.data; },
  );
  assert.deepEqual([all.length, pages], [70, 3]);
});

await check("writes, changes and deletes a comment", async () => {
  const made = await octokit.rest.issues.createComment({ ...repo, issue_number: number, body: "plan" });
  assert.equal(made.status, 201);
  assert.equal(made.data.user.login, "github-actions[bot]");
  const comment_id = made.data.id;
  const changed = await octokit.rest.issues.updateComment({ ...repo, comment_id, body: "plan 2" });
  assert.equal(changed.data.body, "plan 2");
  const { data } = await octokit.request("GET /repos/{owner}/{repo}/issues/comments/{comment_id}", { ...repo, comment_id });
  assert.equal(data.body, "plan 2");
  assert.equal((await octokit.rest.issues.deleteComment({ ...repo, comment_id })).status, 204);
});

await check("deploys", async () => {
  const { data } = await octokit.rest.repos.createDeployment({
    ...repo, ref: "feature", task: "review:1", environment: "review", auto_merge: false, required_contexts: [],
    transient_environment: true, production_environment: false, payload: { pr: number },
  });
  const deployment_id = data.id;
  await octokit.rest.repos.createDeploymentStatus({ ...repo, deployment_id, state: "success", auto_inactive: false });
  const listed = await octokit.rest.repos.listDeployments({ ...repo, environment: "review", task: "review:1" });
  assert.deepEqual(listed.data.map((deployment) => deployment.id), [deployment_id]);
});

await check("asks GraphQL", async () => {
  const { viewer } = await octokit.graphql("{ viewer { login } }");
  assert.equal(viewer.login, "github-actions[bot]");
  await assert.rejects(
    octokit.graphql('mutation { minimizeComment(input: {subjectId: "IC_x", classifier: OUTDATED}) { clientMutationId } }'),
    (error) => error.name === "GraphqlResponseError" && error.errors[0].type === "NOT_FOUND",
  );
});

await check("reads errors", async () => {
  const reader = await client("actions", { pull_requests: "read" });
  await assert.rejects(reader.rest.issues.createComment({ ...repo, issue_number: number, body: "x" }), (error) => {
    assert.equal(error.status, 403);
    assert.match(error.message, /^Resource not accessible by integration - https:\/\/docs\.github\.com\/rest\/issues\/comments/);
    assert.equal(error.response.headers["x-accepted-github-permissions"], "issues=write; pull_requests=write");
    return true;
  });
  await assert.rejects(
    octokit.rest.issues.createComment({ ...repo, issue_number: number, body: "x".repeat(65_537) }),
    (error) => error.status === 422 && error.message.includes("Body is too long (maximum is 65536 characters)"),
  );
  await assert.rejects(octokit.rest.issues.getComment({ ...repo, comment_id: 1 }), (error) => error.status === 404);
});

await check("follows a renamed repository", async () => {
  await admin("rename", { repository, to: "octo-org/renamed" });
  const { data, url: final } = await octokit.rest.pulls.list({ ...repo, state: "open", per_page: 100 });
  assert.equal(data[0].number, number);
  assert.match(final, /\/repositories\/\d+\/pulls/);
  await admin("rename", { repository: "octo-org/renamed", to: repository });
});

await check("recognises both kinds of rate limits", async () => {
  const seen = [];
  const note = (kind) => (retryAfter) => { seen.push(kind); assert.ok(retryAfter > 0 && retryAfter < 40_000, retryAfter); };
  const throttle = { onRateLimit: note("primary"), onSecondaryRateLimit: note("secondary") };
  const Throttled = Client.plugin(throttling);
  const limited = await client("actions", write, Throttled, { throttle });
  const comment = { ...repo, issue_number: number, body: "x" };
  // Until one is refused; how many that takes depends on how fast the clock of the sandbox runs.
  const spend = async () => { for (let n = 0; n < 600; n += 1) await octokit.rest.issues.createComment(comment); };
  await assert.rejects(spend(), (error) => error.status === 403 && /secondary rate/.test(error.message));
  await assert.rejects(limited.rest.issues.createComment(comment), (error) => error.status === 403);
  const before = await octokit.rest.rateLimit.get();
  await admin("behaviour", { actions_requests_per_hour: before.data.rate.used });
  await assert.rejects(limited.rest.repos.get(repo), (error) => error.response.headers["x-ratelimit-remaining"] === "0");
  await admin("behaviour", { actions_requests_per_hour: 1000 });
  assert.deepEqual(seen, ["secondary", "primary"]);
});

const schemas = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("@octokit/webhooks-schemas/schema.json")));
// The schemas are older than the API: accounts say how they are viewed, and the repositories inside of a pull request are the REST
// API's, which have no custom properties.
schemas.definitions.user.properties.user_view_type = { type: "string" };
schemas.definitions.repository.required = schemas.definitions.repository.required.filter((name) => name !== "custom_properties");
for (const [event, schema, more] of [
  ["pull_request.opened", "pull_request$opened", { branch: "played" }],
  ["pull_request.opened", "pull_request$opened", { fork: "mona" }],
  ["pull_request.synchronize", "pull_request$synchronize", { number }],
  ["pull_request.converted_to_draft", "pull_request$converted_to_draft", { number }],
  ["pull_request.ready_for_review", "pull_request$ready_for_review", { number }],
  ["merge_group", "merge_group$checks_requested", { number }],
  ["pull_request.closed", "pull_request$closed", { number, merged: true }],
  ["push", "push$event", { commits: ["One", "Two"] }],
  ["push", "push$event", { branch: "new" }],
  ["workflow_dispatch", "workflow_dispatch$event", { inputs: { ref: "main" } }],
]) {
  const { payload } = await admin("play", { event, repository, ...more });
  const name = `${eventsFolder}/${event}-${Object.keys(more)[0]}`;
  writeFileSync(`${name}.json`, JSON.stringify(payload));
  writeFileSync(`${name}.schema`, JSON.stringify({ ...schemas, oneOf: undefined, $ref: `#/definitions/${schema}` }));
}
