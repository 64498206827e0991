package redisdirectory

import (
	"context"
	_ "embed" // the scripts
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

var (
	//go:embed directory.lua
	directoryText string
	//go:embed organization.lua
	organizationText string
)

// Codec seals, encodes and opens events. codec.Codec is one.
type Codec interface {
	Encode(e *audit.Event) ([]byte, error)
	Decode(b []byte) (audit.Event, error)
	Open(e *audit.Event) error
}

// Config is what a directory needs. Every field is needed.
type Config struct {
	Client     redis.UniversalClient // for scripts: redisx.NewScripts
	Reader     redis.UniversalClient // for reads: redisx.NewReader
	Partitions int
	Codec      Codec
	Keys       audit.Keys
	Cache      *Cache           // shared with the flow store
	Now        func() time.Time // estimate of Redis' time
}

// Directory implements policy.Directory, policy.DirectoryWriter and policy.History. Safe for concurrent use.
type Directory struct {
	client       redis.UniversalClient
	reader       redis.UniversalClient
	keys         *redisx.Keys
	codec        Codec
	keyring      audit.Keys
	cache        *Cache
	now          func() time.Time
	commit       *redisx.Script
	organization *redisx.Script
	check        *redisx.Script
	owner        *redisx.Script
	claims       *redisx.Script
	swap         *redisx.Script

	mu   sync.RWMutex
	uids map[string]string // organization id → uid, of organizations that exist
}

var (
	_ policy.Directory       = (*Directory)(nil)
	_ policy.DirectoryWriter = (*Directory)(nil)
	_ policy.History         = (*Directory)(nil)
)

// New returns a directory, or an error that names the missing part.
func New(c Config) (*Directory, error) {
	for name, missing := range map[string]bool{
		"Client": c.Client == nil, "Reader": c.Reader == nil, "Codec": c.Codec == nil, "Keys": c.Keys == nil,
		"Cache": c.Cache == nil, "Now": c.Now == nil,
	} {
		if missing {
			return nil, errs.New(errs.Internal, "DIRECTORY_CONFIG", "redisdirectory: "+name+" is missing")
		}
	}
	keys, err := redisx.NewKeys(c.Partitions)
	if err != nil {
		return nil, err
	}
	return &Directory{
		client: c.Client, reader: c.Reader, keys: keys, codec: c.Codec, keyring: c.Keys, cache: c.Cache, now: c.Now,
		commit: redisx.NewScript(directoryText), organization: redisx.NewScript(organizationText),
		check: redisx.NewScript(checkText), owner: redisx.NewScript(ownerText), claims: redisx.NewScript(claimsText), swap: redisx.NewScript(swapText), uids: map[string]string{},
	}, nil
}

func notFound() error {
	return errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
}

// Resolve implements policy.Directory. An id that was only reserved belongs to no organization yet.
func (d *Directory) Resolve(ctx context.Context, id string) (string, error) {
	d.mu.RLock()
	uid := d.uids[id]
	d.mu.RUnlock()
	if uid != "" && !d.cache.Peek(uid).Gone() {
		return uid, nil
	}
	uid, err := d.reader.HGet(ctx, redisx.OrganizationsKey, id).Result()
	switch {
	case err == redis.Nil: //nolint:errorlint // the sentinel of go-redis, never wrapped
		return "", notFound()
	case err != nil:
		return "", redisx.ReadFailed(err)
	}
	if _, err := d.Organization(ctx, uid); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uids[id] = uid
	return uid, nil
}

// Organization implements policy.Directory.
func (d *Directory) Organization(ctx context.Context, uid string) (*policy.Organization, error) {
	o, err := d.read(ctx, uid)
	if o.Gone() {
		return nil, notFound()
	}
	return o, err
}

// read is Organization, for deleted ones as well.
func (d *Directory) read(ctx context.Context, uid string) (*policy.Organization, error) {
	known := d.cache.Peek(uid)
	call := redisx.NewCall(2)
	call.Key(d.keys.Of(uid).Organization(uid))
	call.Arg(Known(known))
	reply, err := d.organization.Run(ctx, d.reader, call)
	if err != nil {
		return nil, redisx.ReadAgain(err)
	}
	if reply == nil {
		return nil, notFound()
	}
	return d.cache.Fill(uid, known, redisx.NewReply(reply))
}

// Cached implements policy.Directory.
func (d *Directory) Cached(ctx context.Context, uid string) (*policy.Organization, error) {
	if o := d.cache.Peek(uid); o != nil {
		return o, nil
	}
	return d.read(ctx, uid)
}

// Organizations implements policy.Directory.
func (d *Directory) Organizations(ctx context.Context, after string, limit int) ([]policy.Organization, error) {
	var out []policy.Organization
	for len(out) < limit {
		ids, err := d.reader.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: redisx.OrganizationIndexKey, ByLex: true, Start: lexAfter(after), Stop: "+", Count: int64(limit - len(out)),
		}).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		if len(ids) == 0 {
			break
		}
		found, err := d.summaries(ctx, ids)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
		after = ids[len(ids)-1]
	}
	return out, nil
}

func lexAfter(name string) string {
	if name == "" {
		return "-"
	}
	return "(" + name
}

// summaries reads organizations without policy; ids that are only reserved, or of deleted ones, are left out.
func (d *Directory) summaries(ctx context.Context, ids []string) ([]policy.Organization, error) {
	uids, err := d.reader.HMGet(ctx, redisx.OrganizationsKey, ids...).Result()
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	cmds := make([]*redis.SliceCmd, len(uids))
	_, err = d.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, v := range uids {
			if uid, ok := v.(string); ok {
				cmds[i] = p.HMGet(ctx, d.keys.Of(uid).Organization(uid), "st", "rev", "n", "d", "ct", "ut", "id", "sb", "x")
			}
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	var out []policy.Organization
	for i, c := range cmds {
		if c == nil {
			continue
		}
		r := redisx.NewReply(c.Val())
		stamp, exists := r.Find(0)
		if !exists || r.Text(8) == "1" {
			continue
		}
		uid, _ := uids[i].(string)
		o := policy.Organization{
			UID: uid, ID: r.Text(6), DisplayName: r.Text(2), Disabled: r.Text(3) == "1", Sandbox: r.Text(7) == "1", Revision: r.Int(1),
			Created: time.UnixMilli(r.Int(4)).UTC(), Updated: time.UnixMilli(r.Int(5)).UTC(),
		}
		if o.Stamp, err = stampOf(stamp); err != nil {
			return nil, err
		}
		if err := r.Err(); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Domains implements policy.Directory.
func (d *Directory) Domains(ctx context.Context, uid string, after policy.Domain, limit int) (policy.DomainPage, error) {
	space := d.keys.Of(uid)
	var names *redis.StringSliceCmd
	var counts *redis.SliceCmd
	_, err := d.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		names = p.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: space.Domains(uid), ByLex: true, Start: lexAfter(after.String()), Stop: "+", Count: int64(limit),
		})
		counts = p.HMGet(ctx, space.Organization(uid), "nd", "nc")
		return nil
	})
	if err != nil {
		return policy.DomainPage{}, redisx.ReadFailed(err)
	}
	r := redisx.NewReply(counts.Val())
	page := policy.DomainPage{DomainCount: r.Int(0), ClaimCount: r.Int(1)}
	if err := r.Err(); err != nil {
		return policy.DomainPage{}, err
	}
	keys := make([]string, len(names.Val()))
	for i, n := range names.Val() {
		keys[i] = space.Domain(uid, n)
	}
	err = d.each(ctx, keys, func(_ int, v string) error {
		rec, err := decodeDomain(v)
		page.Domains = append(page.Domains, rec)
		return err
	})
	return page, err
}

// keysPerRead bounds one MGET.
const keysPerRead = 500

// each reads keys of one slot and calls found for those that exist, in order.
func (d *Directory) each(ctx context.Context, keys []string, found func(i int, value string) error) error {
	for start := 0; start < len(keys); start += keysPerRead {
		values, err := d.reader.MGet(ctx, keys[start:min(start+keysPerRead, len(keys))]...).Result()
		if err != nil {
			return redisx.ReadFailed(err)
		}
		for i, v := range values {
			if s, ok := v.(string); ok {
				if err := found(start+i, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func millisOf(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
