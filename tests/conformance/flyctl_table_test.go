package conformance

import (
	"os"
	"os/exec"
)

func flyctlBinary() string {
	if named := os.Getenv("FLYCTL"); named != "" {
		return named
	}
	found, _ := exec.LookPath("flyctl")
	return found
}
func ran(arguments []string, done bool) {}
