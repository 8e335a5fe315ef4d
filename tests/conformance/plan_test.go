package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

// The manifests, relative to this folder.
const root = "../.."

// The prefix of every secret value in environments/example.env; no output may contain it.
const secret = "only-for-the-sandbox"

// trimtab runs the program with a sandbox of its own.
type trimtab struct {
	*testing.T
	binary, sandbox, environments string
}

func newTrimtab(t *testing.T) *trimtab {
	t.Helper()
	t.Parallel()
	binary := os.Getenv("TRIMTAB")
	if binary == "" {
		t.Fatal("TRIMTAB is not set to the built program; scripts/conformance sets it")
	}
	return &trimtab{T: t, binary: binary, sandbox: t.TempDir(), environments: "environments"}
}

func (p *trimtab) run(arguments ...string) []byte {
	p.Helper()
	common := []string{"--sandbox=" + p.sandbox, "--environments", p.environments, "--env-file", "environments/example.env"}
	command := exec.Command(p.binary, append(arguments, common...)...)
	command.Dir = root
	var out, talk bytes.Buffer
	command.Stdout, command.Stderr = &out, &talk
	err := command.Run()
	var exit *exec.ExitError
	// Exit code 3: the plan was made, but apply would refuse it.
	if refused := arguments[0] == "plan" && errors.As(err, &exit) && exit.ExitCode() == 3; err != nil && !refused {
		p.Fatalf("%v: %v\n%s%s", command.Args, err, out.String(), talk.String())
	}
	return out.Bytes()
}

// plan reads a plan with Terraform's own reader, and checks what must hold of every plan.
func (p *trimtab) plan(arguments ...string) *tfjson.Plan {
	p.Helper()
	text := p.run(append([]string{"plan", "--format", "tf-json"}, arguments...)...)
	holds(p, "the plan holds no value of a secret", !bytes.Contains(text, []byte(secret)))
	var plan tfjson.Plan
	if err := json.Unmarshal(text, &plan); err != nil {
		p.Fatalf("terraform-json refuses the plan: %v", err)
	}
	ok(p, plan.Validate())
	seen, addresses := map[string]bool{}, []string{}
	for _, change := range plan.ResourceChanges {
		equal(p, "the address", change.Address, change.Type+"."+change.Name)
		equal(p, "the mode", change.Mode, tfjson.ManagedResourceMode)
		holds(p, change.Address+" occurs once", !seen[change.Address])
		seen[change.Address] = true
		holds(p, change.Address+" has sides that fit its actions", fits(change.Change))
		addresses = append(addresses, ours(change.Change))
	}
	p.statesFit(&plan)
	p.agrees(addresses, arguments)
	return &plan
}

// fits reports whether there is a state before unless the object is created, and one after unless it is deleted.
func fits(change *tfjson.Change) bool {
	actions := change.Actions
	known := actions.Create() || actions.Update() || actions.Delete() || actions.Replace()
	return known && (change.Before == nil) == actions.Create() && (change.After == nil) == actions.Delete()
}

// ours returns trimtab's address of a change.
func ours(change *tfjson.Change) string {
	for _, side := range []any{change.After, change.Before} {
		if values, is := side.(map[string]any); is {
			if address, is := values["trimtab_address"].(string); is {
				return address
			}
		}
	}
	return ""
}

// statesFit checks that the states before and after match the changes.
func (p *trimtab) statesFit(plan *tfjson.Plan) {
	p.Helper()
	sides := func(state *tfjson.StateValues, side func(*tfjson.Change) any) {
		wanted := map[string]any{}
		for _, change := range plan.ResourceChanges {
			if values := side(change.Change); values != nil {
				wanted[change.Address] = values
			}
		}
		equal(p, "the number of resources in a state", len(state.RootModule.Resources), len(wanted))
		for _, resource := range state.RootModule.Resources {
			holds(p, resource.Address+" has the values of its change", reflect.DeepEqual(any(resource.AttributeValues), wanted[resource.Address]))
		}
	}
	sides(plan.PriorState.Values, func(change *tfjson.Change) any { return change.Before })
	sides(plan.PlannedValues, func(change *tfjson.Change) any { return change.After })
}

// agrees checks that trimtab's own JSON names the same resources.
func (p *trimtab) agrees(addresses, arguments []string) {
	p.Helper()
	var plan struct {
		Changes []struct {
			Address string `json:"address"`
		} `json:"changes"`
	}
	ok(p, json.Unmarshal(p.run(append([]string{"plan", "--format", "json"}, arguments...)...), &plan))
	named := map[string]bool{}
	for _, change := range plan.Changes {
		named[change.Address] = true
	}
	for _, address := range addresses {
		holds(p, address+" is in the other JSON as well", named[address])
		delete(named, address)
	}
	same(p, "what only the other JSON has", named, map[string]bool{})
}

// edited copies the manifests with replacements.
func (p *trimtab) edited(file, old, new string) *trimtab {
	p.Helper()
	copied := p.TempDir()
	ok(p, os.CopyFS(copied, os.DirFS(filepath.Join(root, "environments"))))
	path := filepath.Join(copied, file)
	text := string(must(os.ReadFile(path))(p))
	if !strings.Contains(text, old) {
		p.Fatalf("%s has no %q", file, old)
	}
	ok(p, os.WriteFile(path, []byte(strings.ReplaceAll(text, old, new)), 0o600))
	other := *p
	other.environments = copied
	return &other
}

func every(plan *tfjson.Plan, is func(tfjson.Actions) bool) bool {
	return !slices.ContainsFunc(plan.ResourceChanges, func(change *tfjson.ResourceChange) bool { return !is(change.Change.Actions) })
}

func TestTerraformReadsThePlanOfEveryEnvironment(t *testing.T) {
	for name, arguments := range map[string][]string{
		"staging": {"staging"}, "production": {"production"}, "review": {"review", "--var", "pr=7"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := newTrimtab(t).plan(arguments...)
			holds(t, "something is made", len(plan.ResourceChanges) > 0)
			holds(t, "everything is made", every(plan, tfjson.Actions.Create))
			holds(t, "the plan is complete", plan.Complete != nil && *plan.Complete)
		})
	}
}

func TestTerraformReadsWhatChangesGoesAndIsReplaced(t *testing.T) {
	p := newTrimtab(t)
	p.run("apply", "staging", "--yes")
	holds(t, "nothing is left to do", len(p.plan("staging").ResourceChanges) == 0)

	update := p.plan("staging", "--image", "web=registry.fly.io/harbor-web:next")
	holds(t, "something is changed", len(update.ResourceChanges) > 0)
	holds(t, "everything is changed in place", every(update, tfjson.Actions.Update))

	p.edited("staging.toml", `ips = ["private_v6"]`, `ips = ["private_v6", "v6"]`).run("apply", "staging", "--yes")
	gone := p.plan("staging")
	equal(t, "the number of changes when an address is not wanted any more", len(gone.ResourceChanges), 1)
	holds(t, "it is deleted", every(gone, tfjson.Actions.Delete))

	moved := p.edited("_base.toml", `primary_region = "iad"`, `primary_region = "fra"`).plan("staging")
	holds(t, "something is replaced, or made and deleted", slices.ContainsFunc(moved.ResourceChanges, func(change *tfjson.ResourceChange) bool {
		return change.Change.Actions.Replace() || change.Change.Actions.Delete()
	}))
}
