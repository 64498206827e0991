package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) connection() *cobra.Command {
	return group(&cobra.Command{Use: "connection", Short: "Ways to sign in elsewhere: what is set, their secrets, and whether they work"},
		a.connectionList(), a.connectionGet(), a.connectionCreate(), a.connectionUpdate(), a.connectionDelete(), a.connectionSetSecret(), a.connectionClearSecret(), a.connectionTest())
}

// byConnection is how commands about one connection are used.
const byConnection = `The connection is given as ORGANIZATION CONNECTION, as ORGANIZATION/CONNECTION or by its full name. What it is beside its
secret stands in the organization's document ("postern org apply"), or is set by "postern connection update".`

// connectionName reads one connection from one or two arguments.
func connectionName(args []string) (string, error) {
	return resource(strings.Join(args, "/"), "connections")
}

// oneConnection demands the arguments that connectionName reads.
func oneConnection(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION CONNECTION", cmd.CommandPath())
	}
	return nil
}

func (a *app) connectionList() *cobra.Command {
	return &cobra.Command{
		Use:     "list ORGANIZATION",
		Short:   "All connections of an organization, by id",
		Example: "  postern connection list acme",
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, 0, func(ctx context.Context, size int32, token string) ([]*posternv1.Connection, string, error) {
					r, err := c.Directory.ListConnections(ctx, &posternv1.ListConnectionsRequest{Parent: parent, PageSize: size, PageToken: token})
					return r.GetConnections(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, []string{"CONNECTION", "KIND", "PROTOCOL", "PROVIDER", "SECRET", "STATE"}, func(c *posternv1.Connection) []string {
					return []string{c.GetId(), show.Enum("KIND", c.GetKind()), show.Enum("PROTOCOL", c.GetProtocol()), provider(c), show.Secret(c), when(c.GetDisabled(), "DISABLED")}
				})
			})
		},
	}
}

// provider names who is at the other end of a connection, empty when it is not verified here.
func provider(c *posternv1.Connection) string {
	for _, s := range []string{c.GetOidc().GetIssuer(), c.GetSaml().GetEntityId()} {
		if s != "" {
			return s
		}
	}
	return c.GetPreset()
}

func (a *app) connectionGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ORGANIZATION CONNECTION",
		Short: "One connection with all that is set",
		Long:  "One connection with all that is set, but its secret, which nobody reads again. " + byConnection,
		Example: `  postern connection get acme partner-okta
  postern connection get acme/partner-okta --output json | jq .oidc`,
		Args: oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				m, err := c.Directory.GetConnection(ctx, &posternv1.GetConnectionRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showConnection(m)
			})
		},
	}
}

func (a *app) showConnection(m *posternv1.Connection) error {
	if a.json() {
		return a.message(m)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Connection(m))
}

// maxKeyFile is what the API takes of a private key; reading stops there.
const maxKeyFile = 16 << 10

func (a *app) connectionSetSecret() *cobra.Command {
	var file, etag string
	var key bool
	cmd := &cobra.Command{
		Use:   "set-secret ORGANIZATION CONNECTION --file FILE",
		Short: "Give a connection its client secret or private key",
		Long: `Give a connection its client secret or private key, in the place of the one it had. It is read from a file or, with "-",
from standard input, never from the command line, which others on the machine can read; a line break at its end is left
out. It is kept sealed under the organization's key and is never shown again. It is dropped when the connection's provider,
client or client_auth changes, so that it is never sent to somebody else. ` + byConnection,
		Example: `  postern connection set-secret acme google --file client-secret.txt
  pass show idp/okta | postern connection set-secret acme partner-okta --file -
  postern connection set-secret acme bank --private-key --file key.pem          # OIDC with private_key_jwt, or Apple
  cat key.pem certificate.pem | postern connection set-secret acme agency-adfs --private-key --file -   # SAML`,
		Args: oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			if file == "" {
				return usagef(`--file is needed; "-" reads standard input`)
			}
			secret, err := a.read(file, maxKeyFile)
			if err != nil {
				return err
			}
			r := &posternv1.SetConnectionSecretRequest{Name: name, RequestId: newRequestID(), Etag: etag}
			if key {
				r.Secret = &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: string(secret)}
			} else {
				line := strings.TrimSuffix(strings.TrimSuffix(string(secret), "\n"), "\r")
				r.Secret = &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: line}
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				m, err := client.Repeat(ctx, c.Directory.SetConnectionSecret, r)
				if err != nil {
					return err
				}
				return a.showConnection(m)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "file", "", `file with the secret; "-" reads standard input`)
	f.BoolVar(&key, "private-key", false, "it is a private key in PEM form, for SAML with its certificate")
	f.StringVar(&etag, "etag", "", "version of the organization the change is based on (default: whatever there is)")
	return cmd
}

func (a *app) connectionClearSecret() *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:     "clear-secret ORGANIZATION CONNECTION",
		Short:   "Take a connection's secret away",
		Long:    "Take a connection's secret away. Nobody can sign in through it then, unless its client is public. " + byConnection,
		Example: "  postern connection clear-secret acme partner-okta",
		Args:    oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				m, err := client.Repeat(ctx, c.Directory.ClearConnectionSecret,
					&posternv1.ClearConnectionSecretRequest{Name: name, RequestId: newRequestID(), Etag: etag})
				if err != nil {
					return err
				}
				return a.showConnection(m)
			})
		},
	}
	cmd.Flags().StringVar(&etag, "etag", "", "version of the organization the change is based on (default: whatever there is)")
	return cmd
}

// testTime is more than a test takes: a provider that hangs is what it is to find out.
const testTime = 20 * time.Second

func (a *app) connectionTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test ORGANIZATION CONNECTION",
		Short: "Say what is wrong with a connection before users find out",
		Long: `Say what is wrong with a connection before users find out: what is not set, whether the provider can be reached and says
what it must, whether its keys and certificates will do and for how long. The sidecar speaks with the provider, and
may show it the client's secret with a code that was made up; it sends nothing of a person and changes nothing. That may take
15 seconds, whatever --timeout says. Exit code 0 when people can sign in, 1 when one of the findings is an ERROR. ` + byConnection,
		Example: `  postern connection test acme partner-okta
  postern connection test acme/partner-okta --output json | jq 'select(.severity != "SEVERITY_OK")'`,
		Args: oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), max(a.timeout, testTime))
				defer cancel()
				r, err := c.Directory.TestConnection(ctx, &posternv1.TestConnectionRequest{Name: name})
				if err != nil {
					return err
				}
				return a.findings(r.GetFindings())
			})
		},
	}
}

func (a *app) findings(all []*posternv1.ConnectionFinding) error {
	err := list(a, all, []string{"SEVERITY", "WHAT", "FOUND", "FIX"}, func(f *posternv1.ConnectionFinding) []string {
		return []string{show.Enum("SEVERITY", f.GetSeverity()), f.GetWhat(), f.GetDetail(), f.GetFix()}
	})
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.GetSeverity() == posternv1.ConnectionFinding_SEVERITY_ERROR {
			return errNo
		}
	}
	return nil
}
