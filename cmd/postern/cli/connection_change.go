package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// connectionFile reads a connection as it stands in a document, with the fields it names.
func (a *app) connectionFile(path string) (*posternv1.Connection, []string, error) {
	text, err := a.read(path, maxDocument)
	if err != nil {
		return nil, nil, err
	}
	c, keys, problems := document.ParseConnection(text, serve.ReadMetadata(a.now))
	if c == nil {
		return nil, nil, cannot(path, problems)
	}
	m := policypb.FromConnection("", c)
	m.Name, m.Id = "", ""
	return m, keys, nil
}

func (a *app) connectionOrError(m *posternv1.Connection, err error) error {
	if err != nil {
		return err
	}
	return a.showConnection(m)
}

const aboutFile = `The file is what stands under a connection in an organization's document, without its id, in YAML or JSON ("-" reads standard input);
docs/connections.md says what there is. Its secret is set by "postern connection set-secret".`

func (a *app) connectionCreate() *cobra.Command {
	var r resourceFlags
	var file string
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION CONNECTION --file FILE",
		Short: "Add a connection, without its secret",
		Long:  "Add a connection, without its secret. It is maintained through the API from then on: documents must not name it. " + aboutFile,
		Example: `  printf 'kind: social\npreset: google\nprotocol: oidc\noidc: {client_id: 12345.apps.example}\n' | postern connection create acme google --file -
  postern connection create acme partner-okta --file okta.yaml --dry-run`,
		Args: exactly("ORGANIZATION", "CONNECTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			if file == "" {
				return usagef(`--file is needed; "-" reads standard input`)
			}
			m, _, err := a.connectionFile(file)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return a.connectionOrError(client.Repeat(ctx, c.Directory.CreateConnection, &posternv1.CreateConnectionRequest{Parent: parent, ConnectionId: args[1],
					Connection: m, Etag: r.etag, RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason}))
			})
		},
	}
	r.flags(a, cmd, true, false)
	cmd.Flags().StringVar(&file, "file", "", `file with the connection; "-" reads standard input`)
	return cmd
}

func (a *app) connectionUpdate() *cobra.Command {
	var r resourceFlags
	var file string
	flags := &posternv1.Connection{}
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION CONNECTION",
		Short: "Change a connection",
		Long: `Change a connection: the keys that the file has, each as a whole, the flags that are given, and nothing else. Kind and protocol stay. Its secret
stays too, unless provider, client or its use changed: then it is dropped and has to be set again. A connection that a document
maintains is maintained through the API from then on. ` + aboutFile + " " + byConnection,
		Example: `  postern connection update acme partner-okta --disabled --reason "their breach"
  postern connection update acme partner-okta --file okta.yaml --dry-run`,
		Args: oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			m, mask := &posternv1.Connection{}, &fieldmaskpb.FieldMask{}
			if file != "" {
				if m, mask.Paths, err = a.connectionFile(file); err != nil {
					return err
				}
			}
			if cmd.Flags().Changed("display-name") {
				m.DisplayName, mask.Paths = flags.GetDisplayName(), append(mask.Paths, "display_name")
			}
			if cmd.Flags().Changed("disabled") {
				m.Disabled, mask.Paths = flags.GetDisabled(), append(mask.Paths, "disabled")
			}
			mask.Paths = slices.DeleteFunc(mask.Paths, func(p string) bool { return p == "kind" || p == "protocol" })
			if len(mask.GetPaths()) == 0 {
				return usagef("nothing to change: give --file, --display-name or --disabled")
			}
			m.Name = name
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return a.connectionOrError(client.Repeat(ctx, c.Directory.UpdateConnection, &posternv1.UpdateConnectionRequest{Connection: m, UpdateMask: mask,
					Etag: r.etag, RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason, Force: r.force, AdminEmail: r.admin}))
			})
		},
	}
	r.flags(a, cmd, true, true)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", `file with what changes; "-" reads standard input`)
	f.StringVar(&flags.DisplayName, "display-name", "", "name to show")
	f.BoolVar(&flags.Disabled, "disabled", false, "stop sign-ins through it; --disabled=false lets them in again")
	return cmd
}

func (a *app) connectionDelete() *cobra.Command {
	var r resourceFlags
	cmd := &cobra.Command{
		Use:   "delete ORGANIZATION CONNECTION",
		Short: "Remove a connection that the policy does not name",
		Long: `Remove a connection that the policy does not name, with its secret. Identities that were linked through it count no more. A document that still
names it makes another connection of that id. ` + byConnection,
		Example: `  postern connection delete acme partner-okta --reason "partner left"`,
		Args:    oneConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := connectionName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if _, err := client.Repeat(ctx, c.Directory.DeleteConnection, &posternv1.DeleteConnectionRequest{Name: name, Etag: r.etag, RequestId: r.id(), Reason: r.reason}); err != nil {
					return err
				}
				return a.gone(name)
			})
		},
	}
	r.flags(a, cmd, false, false)
	return cmd
}
