package serve

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/outbound"
)

// openProviders makes what speaks with identity providers.
func (p *process) openProviders() (*idp.Client, error) {
	o := p.c.Outbound
	options := outbound.Options{AllowHTTP: o.InsecureAllowHTTP}
	for _, n := range o.AllowedNetworks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, &ConfigError{fmt.Errorf("outbound.allowed_networks: %w", err)}
		}
		options.Allow = append(options.Allow, prefix)
	}
	if o.RootsFile != "" {
		roots, err := rootsWith(o.RootsFile)
		if err != nil {
			return nil, &ConfigError{fmt.Errorf("outbound.roots_file: %w", err)}
		}
		options.Roots = roots
	}
	p.work.keys = &keyNews{news: make(chan authflow.ProviderKeys, 256), log: p.log, now: p.clock.Now}
	c, err := idp.New(idp.Config{Outbound: options, Secrets: vault.NewConnections(p.stores.keyring), Now: p.clock.Now,
		Rand: rand.Reader, Watch: p.work.keys.tell, Timeout: o.Timeout})
	if err != nil {
		return nil, err
	}
	p.closers.add("identity providers", func(context.Context) error {
		c.Close()
		return nil
	})
	return c, nil
}

// rootsWith is whom the system trusts, and the certificates of a file.
func rootsWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

// recordKeysWithin bounds how long recording one provider's keys may take.
const recordKeysWithin = 10 * time.Second

// keyNews records, apart from any sign-in, which keys providers sign with.
type keyNews struct {
	news chan authflow.ProviderKeys
	log  *slog.Logger
	now  func() time.Time
}

// tell implements idp.Watch: it never waits. What finds no room is told again by the next start, and logged.
func (k *keyNews) tell(ctx context.Context, organizationUID, connectionUID string, keys idp.ProviderKeys) {
	n := authflow.ProviderKeys{OrganizationUID: organizationUID, ConnectionUID: connectionUID, Fingerprint: keys.Fingerprint}
	for _, c := range keys.Certificates {
		if c.Soon(k.now()) {
			n.Expiring = append(n.Expiring, authflow.ExpiringCertificate{Fingerprint: c.Fingerprint, Subject: c.Subject, NotAfter: c.NotAfter})
		}
	}
	select {
	case k.news <- n:
	default:
		k.log.WarnContext(ctx, "the keys of an identity provider are not recorded: too many are new at once", "connection_uid", connectionUID)
	}
}

// startKeyNews records what is told until the process stops.
func (p *process) startKeyNews() {
	k := p.work.keys
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-running.Done():
				return
			case n := <-k.news:
				within, cancel := context.WithTimeout(running, recordKeysWithin)
				if err := p.work.flows.RecordKeys(within, n); err != nil {
					k.log.ErrorContext(within, "the keys of an identity provider are not recorded", "connection_uid", n.ConnectionUID, "error", err)
				}
				cancel()
			}
		}
	}()
	p.closers.add("keys of identity providers", func(context.Context) error {
		stop()
		<-done
		return nil
	})
}
