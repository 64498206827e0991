package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postern-audit/postern/internal/config"
)

// settings are the flags that say where a process's settings come from.
type settings struct {
	file    string
	dataDir string
	set     []string
}

func (s *settings) flags(a *app, f *pflag.FlagSet) {
	f.StringVarP(&s.file, "config", "c", a.getenv("POSTERN_CONFIG", ""), "YAML file with settings (POSTERN_CONFIG)")
	f.StringVar(&s.dataDir, "data-dir", "", "short for --set data_dir=…")
	f.StringArrayVar(&s.set, "set", nil, "one setting, PATH=VALUE, for example redis.mode=standalone; may be repeated")
}

// load reads the settings.
func (s *settings) load(a *app) (config.Config, error) {
	set := s.set
	if s.dataDir != "" {
		set = append([]string{"data_dir=" + s.dataDir}, set...)
	}
	c, err := config.Load(config.Sources{File: s.file, Environ: a.environ, Set: set})
	if err != nil {
		return c, configError{err}
	}
	return c, nil
}

func (a *app) configuration() *cobra.Command {
	return group(&cobra.Command{Use: "config", Short: "The settings of a process"}, a.configPrint(), a.configCheck())
}

func (a *app) configPrint() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "print",
		Short: "The settings that hold, as YAML, secrets redacted",
		Example: `  postern config print
  postern config print --config /etc/postern.yaml --set log.level=debug`,
		Args: none,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			return a.write([]byte(config.YAML(c, nil)))
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}

func (a *app) configCheck() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the settings, all of it; exit code 3 when something is",
		Long: `Say what is wrong with the settings, all of it, each with its place and what to do; exit code 3 when something is. Nothing
is reached over the network and nothing is written.`,
		Example: "  postern config check --config /etc/postern.yaml",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "The settings are valid. Redis: %s; archive: %s; gRPC: unix:%s.\n", c.Redis.Mode, c.ArchivePlace(), c.SocketPath())
			return nil
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}
