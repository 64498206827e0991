package outbound

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// dialer asks for a name once, refuses it when any of its addresses is refused, and connects to those addresses alone.
type dialer struct{ o Options }

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, failed(Refused, err, "it names no host and port")
	}
	ctx, cancel := context.WithTimeout(ctx, d.o.Connect)
	defer cancel()
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	plain := &net.Dialer{ControlContext: d.control}
	var last error
	for _, a := range addresses {
		conn, err := plain.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// resolve returns the addresses of a host, all of them fit to be spoken to. A name with one address that is not is refused
// whole: nobody means it so who means well.
func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return d.fit(host, []netip.Addr{a})
	}
	found, err := d.o.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if timedOut(err) {
			return nil, failed(Timeout, err, "the name server did not answer for %s", host)
		}
		return nil, failed(Unreachable, err, "the name %s cannot be resolved", host)
	}
	return d.fit(host, found)
}

func (d *dialer) fit(host string, found []netip.Addr) ([]netip.Addr, error) {
	if len(found) == 0 {
		return nil, failed(Unreachable, nil, "the name %s has no address", host)
	}
	for i, a := range found {
		if what := d.o.refusal(a); what != "" {
			// Which address it is stays here: whoever typed the name is not told about the network inside.
			return nil, refuse("%s leads to a %s address", host, what)
		}
		found[i] = a.Unmap()
	}
	return found[:min(len(found), maxAddresses)], nil
}

// control looks at the address once more when the socket exists and nothing was sent: the last word.
func (d *dialer) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return failed(Refused, err, "it is no address")
	}
	if what := d.o.refusal(at.Addr()); what != "" {
		return refuse("%s is a %s address", at.Addr(), what)
	}
	return nil
}
