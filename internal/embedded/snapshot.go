package embedded

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

//go:embed dump.lua
var dumpText string

// Save writes a snapshot. Call it too when something must not be lost with the next kill, such as the first start.
func (s *Store) Save(ctx context.Context) error {
	if s.c.File == "" {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	records, err := s.dump(ctx)
	if err != nil {
		return err
	}
	return replace(s.c.File, encode(s.c.Now(), records))
}

// dump reads everything in one script, which is one moment.
func (s *Store) dump(ctx context.Context) ([]record, error) {
	now := s.c.Now()
	reply, err := s.client.Eval(ctx, dumpText, nil).Slice()
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "SNAPSHOT_FAILED", "the embedded store cannot be read")
	}
	records := make([]record, 0, len(reply))
	for _, v := range reply {
		r, err := recordOf(v, now)
		if err != nil {
			return nil, errs.Wrap(err, errs.Unavailable, "SNAPSHOT_FAILED", "the embedded store cannot be read")
		}
		records = append(records, r)
	}
	return records, nil
}

var errShape = errors.New("a reply of another shape")

func recordOf(v any, now time.Time) (record, error) {
	item, ok := v.([]any)
	if !ok || len(item) != 4 {
		return record{}, errShape
	}
	key, ok1 := item[0].(string)
	kind, ok2 := item[1].(string)
	ttl, ok3 := item[2].(int64)
	if !ok1 || !ok2 || !ok3 {
		return record{}, errShape
	}
	r := record{key: key}
	if ttl > 0 {
		r.expires = now.Add(time.Duration(ttl) * time.Millisecond)
	}
	var err error
	switch kind {
	case "string":
		r.kind = typeString
		if r.text, ok = item[3].(string); !ok {
			err = errShape
		}
	case "hash":
		r.kind = typeHash
		r.pairs, err = textsOf(item[3])
	case "zset":
		r.kind = typeZSet
		r.members, err = membersOf(item[3])
	case "stream":
		r.kind = typeStream
		r.entries, err = entriesOf(item[3])
	default:
		err = errShape
	}
	return r, err
}

func textsOf(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errShape
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, errShape
		}
	}
	return out, nil
}

func membersOf(v any) ([]member, error) {
	flat, err := textsOf(v)
	if err != nil || len(flat)%2 != 0 {
		return nil, errShape
	}
	var out []member
	for i := 0; i < len(flat); i += 2 {
		score, err := strconv.ParseFloat(flat[i+1], 64)
		if err != nil {
			return nil, fmt.Errorf("score: %w", err)
		}
		out = append(out, member{flat[i], score})
	}
	return out, nil
}

func entriesOf(v any) ([]entry, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errShape
	}
	var out []entry
	for _, e := range list {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return nil, errShape
		}
		id, ok := pair[0].(string)
		values, err := textsOf(pair[1])
		if !ok || err != nil {
			return nil, errShape
		}
		out = append(out, entry{id, values})
	}
	return out, nil
}

// replace puts b in the place of the file in one step that survives a power cut.
func replace(file string, b []byte) error {
	fail := func(err error) error {
		return errs.Wrap(err, errs.Unavailable, "SNAPSHOT_FAILED", "the snapshot "+file+" cannot be written")
	}
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, filepath.Base(file)+".*.tmp") // 0600
	if err != nil {
		return fail(err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fail(errors.Join(err, os.Remove(f.Name())))
	}
	d, err := os.Open(dir)
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fail(err)
	}
	return nil
}

// load puts the snapshot, if there is one, into the empty store.
func (s *Store) load(ctx context.Context) error {
	if s.c.File == "" {
		return nil
	}
	b, err := os.ReadFile(s.c.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.Wrap(err, errs.FailedPrecondition, "SNAPSHOT_UNREADABLE", "the snapshot "+s.c.File+" cannot be read")
	}
	saved, records, err := decode(b)
	if err != nil {
		return errs.Wrap(err, errs.FailedPrecondition, errs.As(err).Reason, s.c.File+": "+errs.As(err).Public)
	}
	now := s.c.Now()
	for i := range records {
		r := &records[i]
		if !r.expires.IsZero() && !r.expires.After(now) {
			continue
		}
		if err := s.restore(ctx, r, saved); err != nil {
			return errs.Wrap(err, errs.FailedPrecondition, "SNAPSHOT_DAMAGED", "the snapshot "+s.c.File+" cannot be loaded")
		}
		if !r.expires.IsZero() {
			s.redis.SetTTL(r.key, r.expires.Sub(now))
		}
	}
	return nil
}

func (s *Store) restore(ctx context.Context, r *record, saved time.Time) error {
	switch r.kind {
	case typeString:
		return s.redis.Set(r.key, r.text)
	case typeHash:
		s.redis.HSet(r.key, r.pairs...)
	case typeZSet:
		for _, m := range r.members {
			if _, err := s.redis.ZAdd(r.key, m.score, m.name); err != nil {
				return err
			}
		}
	case typeStream:
		return s.restoreStream(ctx, r, saved)
	}
	return nil
}

// restoreStream also raises the stream's last id to the moment of the snapshot: entries that were trimmed before it had ids
// up to then, and no id may come twice. An entry with a generated id does that, and goes again.
func (s *Store) restoreStream(ctx context.Context, r *record, saved time.Time) error {
	last := saved.UnixMilli()
	for _, e := range r.entries {
		if _, err := s.redis.XAdd(r.key, e.id, e.values); err != nil {
			return err
		}
		ms, _, _ := strings.Cut(e.id, "-")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
			last = max(last, n)
		}
	}
	id, err := s.redis.XAdd(r.key, strconv.FormatInt(last, 10)+"-*", []string{"e", ""})
	if err != nil {
		return err
	}
	return s.client.XDel(ctx, r.key, id).Err()
}
