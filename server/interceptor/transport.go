package interceptor

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// Link is the state of one connection. Its zero value is a connection that is up.
type Link struct {
	gone atomic.Bool
	raw  syscall.RawConn // of a socket; nil: gone says it
}

// Gone reports whether the other side ended the connection, or it broke. grpc closes such a connection before it cancels the
// calls on it: so a call that was broken can be told from one that its caller cancelled.
func (l *Link) Gone() bool {
	return l != nil && (l.gone.Load() || l.raw != nil && l.raw.Control(func(uintptr) {}) != nil)
}

// SocketInfo is what a connection over a unix socket proves: the user the kernel says is at the other end.
type SocketInfo struct {
	credentials.CommonAuthInfo
	*Link
	UID       uint32
	principal string
}

// NewSocketInfo describes a peer by its user id.
func NewSocketInfo(uid uint32) SocketInfo {
	return SocketInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, Link: &Link{},
		UID: uid, principal: "unix:" + strconv.FormatUint(uint64(uid), 10),
	}
}

// AuthType names the kind.
func (SocketInfo) AuthType() string { return "unix" }

// GatewayInfo marks the in-process connection of the HTTP gateway.
type GatewayInfo struct {
	credentials.CommonAuthInfo
	*Link
}

// AuthType names the kind.
func (GatewayInfo) AuthType() string { return "gateway" }

// OpenInfo marks a connection of a listener that the operator opened without authentication.
type OpenInfo struct {
	credentials.CommonAuthInfo
	*Link
}

// AuthType names the kind.
func (OpenInfo) AuthType() string { return "open" }

// gatewayConn and openConn say which listener accepted a connection. Only the listeners below make them.
type (
	gatewayConn struct{ net.Conn }
	openConn    struct{ net.Conn }
)

// GatewayListener marks every connection l accepts as the gateway's. l must be reachable from within this process only.
func GatewayListener(l net.Listener) net.Listener {
	return marking{l, func(c net.Conn) net.Conn { return gatewayConn{c} }}
}

// OpenListener marks every connection l accepts as let in without authentication.
func OpenListener(l net.Listener) net.Listener {
	return marking{l, func(c net.Conn) net.Conn { return openConn{c} }}
}

type marking struct {
	net.Listener
	mark func(net.Conn) net.Conn
}

// Accept waits for the next connection and marks it.
func (m marking) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return m.mark(c), nil
}

// Credentials finds out, for every accepted connection, what it proves by being the connection it is. A connection of no known
// kind is refused.
func Credentials() credentials.TransportCredentials { return transport{} }

type transport struct{}

// ServerHandshake reads the peer's identity. Nothing is exchanged with the peer.
func (transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	common := credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}
	link := &Link{}
	switch c := raw.(type) {
	case gatewayConn:
		return link.watch(c.Conn), GatewayInfo{common, link}, nil
	case openConn:
		common.SecurityLevel = credentials.NoSecurity
		return link.watch(c.Conn), OpenInfo{common, link}, nil
	case *net.UnixConn:
		uid, err := peerUID(c)
		if err != nil {
			return nil, nil, err
		}
		info := NewSocketInfo(uid)
		return info.watch(c), info, nil
	}
	return nil, nil, errors.New("interceptor: a connection of no known kind")
}

// ClientHandshake is not for this side.
func (transport) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("interceptor: server side only")
}

// Info names the credentials.
func (transport) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "postern"}
}

// Clone returns the same: there is no state.
func (t transport) Clone() credentials.TransportCredentials { return t }

// OverrideServerName is for clients.
func (transport) OverrideServerName(string) error { return nil }

// watch makes l the state of a connection. A socket is handed to grpc as it is, which reads from it for less than through a
// wrapper; whether it is closed can be asked.
func (l *Link) watch(c net.Conn) net.Conn {
	switch socket := c.(type) {
	case *net.UnixConn, *net.TCPConn:
		if s, ok := socket.(syscall.Conn); ok {
			if raw, err := s.SyscallConn(); err == nil {
				l.raw = raw
				return c
			}
		}
	}
	return &watched{Conn: c, link: l}
}

// watched notes when the other side is gone, for connections that are no sockets.
type watched struct {
	net.Conn
	link *Link
}

// Read notes the first failure. Deadlines set by this side fail reads too; grpc sets one only while it greets a peer.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.link.gone.Store(true)
	}
	return n, err
}

var (
	_ credentials.AuthInfo = SocketInfo{}
	_ credentials.AuthInfo = GatewayInfo{}
	_ credentials.AuthInfo = OpenInfo{}
)
