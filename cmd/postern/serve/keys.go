package serve

import (
	"context"
	"crypto/rand"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/apikey/rediskeys"
)

// openAPIKeys makes the use cases around API keys.
func (p *process) openAPIKeys() error {
	s := &p.stores
	store, err := rediskeys.New(rediskeys.Config{Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec})
	if err != nil {
		return err
	}
	uses := apikey.NewUses(store, p.log, func(err error) { p.fail("uses of API keys", err) })
	p.closers.add("uses of API keys", func(context.Context) error {
		uses.Stop()
		return nil
	})
	p.work.keyStore = store
	p.work.apiKeys = &apikey.Keys{
		Store: store, Directory: s.directory, Namer: s.namer, Sealer: s.keyring, NewID: newID, Random: random, Now: p.clock.Now, Noted: uses.Note,
	}
	return nil
}

func random(b []byte) {
	_, _ = rand.Read(b) // never fails
}

// wakingKeys wakes the archiver after every change: a test event should be seen soon.
type wakingKeys struct {
	*apikey.Keys
	wake func()
}

// Create implements server.KeyKeeper.
func (k wakingKeys) Create(ctx context.Context, caller string, in apikey.NewKey) (apikey.Made, error) {
	defer k.wake()
	return k.Keys.Create(ctx, caller, in)
}

// Revoke implements server.KeyKeeper.
func (k wakingKeys) Revoke(ctx context.Context, caller string, in apikey.Revocation) (apikey.Key, error) {
	defer k.wake()
	return k.Keys.Revoke(ctx, caller, in)
}

// Test implements server.KeyKeeper.
func (k wakingKeys) Test(ctx context.Context, caller string, in apikey.TestEvent) (string, error) {
	defer k.wake()
	return k.Keys.Test(ctx, caller, in)
}
