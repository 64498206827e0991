package interceptor

import (
	"context"
	"slices"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
)

// PrincipalKey is the metadata key in which the gateway says whom an HTTP request proved to be. It counts on the in-process
// connection alone; on every other one it is removed before anybody can read it.
const PrincipalKey = "postern-principal"

// What the gateway says in PrincipalKey.
const (
	PrincipalKeyLocal = "key:local" // the request carried the key of this listener
	PrincipalNone     = "none"      // it carried no credential
	PrincipalInvalid  = "invalid"   // it carried one that is not ours
)

// Callers is the layer that finds out who calls and whether they may.
type Callers struct {
	// UIDs may call over a unix socket.
	UIDs []uint32
}

func (c Callers) around(next handler) handler {
	return func(ctx context.Context, call *Call) error {
		id, err := c.identify(ctx)
		call.Identity = id
		ctx = caller.Into(withoutPrincipal(ctx), id)
		switch call.Rule.Auth {
		case AuthAnyone:
			return next(ctx, call)
		case AuthOperator:
			if err != nil {
				return err
			}
			if id.Operator {
				return next(ctx, call)
			}
		case AuthNobody:
			if call.Method == UnknownMethod {
				return next(ctx, call) // refused there, whoever asks
			}
		}
		return errs.New(errs.PermissionDenied, "PERMISSION_DENIED", "this caller may not do that")
	}
}

// identify reads what the connection proved.
func (c Callers) identify(ctx context.Context) (caller.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller.Identity{}, unauthenticated("CREDENTIALS_MISSING", "the connection proves nobody")
	}
	switch info := p.AuthInfo.(type) {
	case SocketInfo:
		id := caller.Identity{Kind: caller.KindSocket, Principal: info.principal}
		id.Operator = slices.Contains(c.UIDs, info.UID)
		return id, nil
	case OpenInfo:
		return caller.Identity{Kind: caller.KindNone, Principal: "tcp:open", Operator: true}, nil
	case GatewayInfo:
		return throughGateway(ctx)
	}
	return caller.Identity{}, unauthenticated("CREDENTIALS_MISSING", "the connection proves nobody")
}

// throughGateway believes the gateway: nobody else can be at the other end of that connection.
func throughGateway(ctx context.Context) (caller.Identity, error) {
	switch values := metadata.ValueFromIncomingContext(ctx, PrincipalKey); {
	case len(values) != 1 || values[0] == PrincipalNone:
		return caller.Identity{}, unauthenticated("CREDENTIALS_MISSING", "send Authorization: Bearer with the key of this listener")
	case values[0] == PrincipalKeyLocal:
		return caller.Identity{Kind: caller.KindKey, Principal: PrincipalKeyLocal, Operator: true}, nil
	default:
		return caller.Identity{}, unauthenticated("CREDENTIALS_INVALID", "the bearer key is not the one of this listener")
	}
}

// withoutPrincipal removes what only the gateway may say, so that nothing further in can take it for proven.
func withoutPrincipal(ctx context.Context) context.Context {
	if metadata.ValueFromIncomingContext(ctx, PrincipalKey) == nil {
		return ctx
	}
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	md.Delete(PrincipalKey)
	return metadata.NewIncomingContext(ctx, md)
}

func unauthenticated(reason, text string) error { return errs.New(errs.Unauthenticated, reason, text) }
