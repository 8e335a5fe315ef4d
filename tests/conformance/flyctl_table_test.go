package conformance

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The table of docs/flyctl.md, and the check that it is true: every row is a claim, and a run of all tests with flyctl
// must have proved it. A supported command was seen to succeed, an unsupported one to fail.

// outcome is the result of a command on the sandbox.
type outcome string

const (
	works   outcome = "yes"
	refuses outcome = "no"
	// Not run: it opens a browser, works only on this computer, or waits for input.
	outside outcome = "not run"
)

// row is a command, and all commands that begin with its words unless a longer row applies.
type row struct {
	command string
	outcome outcome
	remark  string
}

// The file with the table, and the lines that enclose it.
const (
	page       = root + "/docs/flyctl.md"
	tableBegin = "<!-- The table is written by the tests: see above. -->\n"
)

// flyctlBinary returns the path of flyctl, or an empty string.
func flyctlBinary() string {
	found, _ := exec.LookPath(cmp.Or(os.Getenv("FLYCTL"), "flyctl"))
	if found == "" {
		return os.Getenv("FLYCTL")
	}
	if absolute, err := filepath.Abs(found); err == nil {
		return absolute
	}
	return found
}

// The commands that ran so far, by row.
var (
	seen      = map[string]map[bool]bool{}
	seenMutex sync.Mutex
)

// ran records the result of a command.
func ran(arguments []string, done bool) {
	name := lookup(strings.Join(arguments, " "))
	seenMutex.Lock()
	defer seenMutex.Unlock()
	if seen[name] == nil {
		seen[name] = map[bool]bool{}
	}
	seen[name][done] = true
}

// lookup returns the row of a command.
func lookup(command string) (name string) {
	for _, row := range rows {
		if strings.HasPrefix(command+" ", row.command+" ") && len(row.command) > len(name) {
			name = row.command
		}
	}
	return name
}

// unproved lists the rows that a run of all tests did not prove.
func unproved(rows []row, seen map[string]map[bool]bool) (complaints []string) {
	for _, row := range rows {
		ended := seen[row.command]
		switch {
		case row.outcome == works && !ended[true]:
			complaints = append(complaints, "flyctl "+row.command+" is said to work, and was not seen to")
		case row.outcome == refuses && !ended[false]:
			complaints = append(complaints, "flyctl "+row.command+" is said not to work, and was not seen to fail")
		case row.outcome == refuses && ended[true]:
			complaints = append(complaints, "flyctl "+row.command+" is said not to work, and does")
		}
	}
	return complaints
}

// judged returns the exit code: that of the tests, or a failure if all of them ran with flyctl and left a row unproved.
func judged(code int) int {
	filter := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
	if code != 0 || filter != "" || flyctlBinary() == "" {
		return code
	}
	for _, complaint := range unproved(rows, seen) {
		fmt.Println("FAIL: " + complaint)
		code = 1
	}
	return code
}

func table() string {
	var text strings.Builder
	text.WriteString(tableBegin)
	text.WriteString("\n| `flyctl …` | works | remark |\n|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", row.command, row.outcome, row.remark)
	}
	return text.String()
}

// This test does not need flyctl. FLYCTL_TABLE=write rewrites the table.
func TestTheTableOfFlyctlIsInTheDocumentation(t *testing.T) {
	text := string(must(os.ReadFile(page))(t))
	prose, found, is := strings.Cut(text, tableBegin)
	holds(t, "the page has a place for the table", is)
	if os.Getenv("FLYCTL_TABLE") == "write" {
		ok(t, os.WriteFile(page, []byte(prose+table()), 0o644))
		return
	}
	equal(t, "the table in "+page, tableBegin+found, table())
}

func TestTheTableOfFlyctlIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range rows {
		holds(t, row.command+" occurs once", !seen[row.command])
		seen[row.command] = true
		holds(t, row.command+" says why", row.outcome == works || row.remark != "")
	}
}

func TestAClaimNeedsAProof(t *testing.T) {
	claims := []row{{"a", works, ""}, {"b", refuses, "so"}, {"c", outside, "so"}}
	for _, is := range []struct {
		seen       map[string]map[bool]bool
		complaints int
	}{
		{map[string]map[bool]bool{"a": {true: true}, "b": {false: true}}, 0},
		{map[string]map[bool]bool{"a": {true: true, false: true}, "b": {false: true}}, 0},
		{map[string]map[bool]bool{"a": {true: true}, "b": {false: true, true: true}}, 1},
		{map[string]map[bool]bool{"a": {false: true}, "b": {true: true}}, 2},
		{nil, 2},
	} {
		equal(t, "the number of complaints", len(unproved(claims, is.seen)), is.complaints)
	}
	equal(t, "the row of a command", lookup("apps releases -a demo"), "apps releases")
	equal(t, "the row of one that only begins alike", lookup("appstore"), "")
	equal(t, "the row of one in a group", lookup("mpg users list"), "mpg")
}

// Every command in flyctl's help has a row, or is in a group that has one.
func TestTheTableKnowsEveryCommandOfFlyctl(t *testing.T) {
	f := newFlyctl(t)
	waiting := [][]string{nil}
	count := 0
	for len(waiting) > 0 {
		at := waiting[0]
		waiting = waiting[1:]
		inside := f.commands(at)
		for _, name := range inside {
			waiting = append(waiting, append(slices.Clone(at), name))
		}
		if len(inside) == 0 {
			count++
			command := strings.Join(at, " ")
			holds(t, "flyctl "+command+" is in the table", lookup(command) != "")
		}
	}
	holds(t, "the help names commands", count > 100)
}

// commands returns the commands that the help of a command lists.
func (f *flyctl) commands(of []string) (names []string) {
	f.Helper()
	command := exec.Command(f.binary, append(slices.Clone(of), "--help")...)
	command.Dir, command.Env = f.dir, f.environment
	listed := false
	for _, line := range strings.Split(string(must(command.Output())(f)), "\n") {
		switch {
		case line == "" || strings.HasPrefix(line, "Flags:") || strings.HasPrefix(line, "Usage:"):
			listed = false
		case strings.HasPrefix(line, "  ") && listed:
			if name := strings.Fields(line)[0]; name != "help" && name != "completion" {
				names = append(names, name)
			}
		case !strings.HasPrefix(line, " "):
			// The first page lists its commands under several headings.
			listed = strings.HasSuffix(line, "Commands:") || len(of) == 0
		}
	}
	return names
}
