package cli

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestEveryCommandShowsHowItIsUsed(t *testing.T) {
	a := &app{stdout: io.Discard, stderr: io.Discard, now: time.Now}
	commands := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%q does not say what it does", c.CommandPath())
		}
		if !c.HasSubCommands() {
			commands++
			if c.Args == nil {
				t.Errorf("%q takes any arguments", c.CommandPath())
			}
			for example := range strings.SplitSeq(c.Example, "\n") {
				if !strings.Contains(example, c.CommandPath()) {
					t.Errorf("%q has an example that is not about it: %q", c.CommandPath(), example)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
	if commands < 17 {
		t.Errorf("only %d commands were looked at", commands)
	}
}

func TestThePageOfTheCommandLineIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../../docs/reference/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Reference() {
		t.Error("docs/reference/cli.md is stale: run `make docs`")
	}
}
