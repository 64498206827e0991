package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"sync/atomic"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
)

// DefaultCached is how many organizations' unwrapped keys a Keyring keeps.
const DefaultCached = 4096

// saltBytes is the length of a personal part's salt.
const saltBytes = 16

// Keyring seals, opens and indexes with the key of each organization. It implements audit.Sealer and audit.Keys.
//
// A key is unwrapped when it is added and kept ready; of more than the configured number the longest kept one is let go and
// unwrapped again from its wrapped bytes when it is next needed.
type Keyring struct {
	sets   *Keysets
	names  *Namer
	limit  int
	keys   sync.Map   // organization uid → *entry
	mu     sync.Mutex // guards cached
	cached []*entry   // entries with an unwrapped key, oldest first
}

var (
	_ audit.Sealer = (*Keyring)(nil)
	_ audit.Keys   = (*Keyring)(nil)
)

// entry is one organization's key: wrapped always, unwrapped while cached. Once destroyed it is neither, for good.
type entry struct {
	uid       string
	wrapped   atomic.Pointer[[]byte]
	ready     atomic.Pointer[organizationKey]
	destroyed atomic.Bool
}

// Keyring returns an empty keyring that keeps up to cached unwrapped keys; 0 means DefaultCached.
func (k *Keysets) Keyring(cached int) *Keyring {
	if cached <= 0 {
		cached = DefaultCached
	}
	return &Keyring{sets: k, names: k.Namer(), limit: cached}
}

// Mint makes a key for an organization and returns it wrapped. It is not added: that follows the commit that stores it.
func (r *Keyring) Mint(organizationUID string) (audit.OrganizationKey, error) {
	if organizationUID == "" {
		return audit.OrganizationKey{}, errs.New(errs.Internal, "KEY_FAILED", "an organization key needs an organization")
	}
	plain, err := mintKey()
	if err != nil {
		return audit.OrganizationKey{}, err
	}
	w, err := r.sets.wrap.Encrypt(plain, []byte(organizationUID))
	if err != nil {
		return audit.OrganizationKey{}, errs.Wrap(err, errs.Internal, "KEY_FAILED", "an organization key cannot be wrapped")
	}
	return audit.OrganizationKey{OrganizationUID: organizationUID, Wrapped: append([]byte{wrapFormat}, w...)}, nil
}

// Add makes a stored key usable. The same key in another wrapping takes the place of the one before. What stands for a destroyed key
// ends the use of the one that was there; adding that again changes nothing.
func (r *Keyring) Add(key audit.OrganizationKey) error {
	if key.Destroyed() {
		return r.destroy(key)
	}
	if have, ok := r.find(key.OrganizationUID); ok && have.destroyed.Load() {
		return nil
	}
	if have, ok := r.find(key.OrganizationUID); ok && bytes.Equal(*have.wrapped.Load(), key.Wrapped) {
		return nil
	}
	ready, err := r.unwrap(key.OrganizationUID, key.Wrapped)
	if err != nil {
		return err
	}
	w := bytes.Clone(key.Wrapped)
	fresh := &entry{uid: key.OrganizationUID}
	fresh.wrapped.Store(&w)
	stored, known := r.keys.LoadOrStore(key.OrganizationUID, fresh)
	e, ok := stored.(*entry)
	if !ok {
		return errs.New(errs.Internal, "KEY_FAILED", "the keyring holds something else") // not reached
	}
	if known {
		have, err := r.key(e)
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(have.identity[:], ready.identity[:]) != 1 {
			return errs.New(errs.FailedPrecondition, "KEY_DIFFERS", "the organization is known with another key")
		}
		e.wrapped.Store(&w)
		return nil
	}
	r.keep(e, ready)
	return nil
}

// destroy forgets a key.
func (r *Keyring) destroy(key audit.OrganizationKey) error {
	fresh := &entry{uid: key.OrganizationUID}
	fresh.wrapped.Store(&key.Wrapped)
	fresh.destroyed.Store(true)
	if stored, known := r.keys.LoadOrStore(key.OrganizationUID, fresh); known {
		e, ok := stored.(*entry)
		if !ok {
			return errs.New(errs.Internal, "KEY_FAILED", "the keyring holds something else") // not reached
		}
		e.destroyed.Store(true)
		e.wrapped.Store(&key.Wrapped)
		e.ready.Store(nil)
	}
	return nil
}

// Has reports whether the organization's key was added, or is known to be destroyed.
func (r *Keyring) Has(organizationUID string) bool {
	_, ok := r.keys.Load(organizationUID)
	return ok
}

// Seal encrypts a personal part for one record.
func (r *Keyring) Seal(organizationUID, recordID string, p audit.Personal) (*audit.Sealed, error) {
	c := clearParts.Get().(*clearPart) //nolint:forcetypeassert // the pool makes nothing else
	defer c.wipe()
	var err error
	if c.b, err = codec.AppendPersonal(c.b, &p); err != nil {
		return nil, err
	}
	return r.SealBytes(organizationUID, recordID, c.b)
}

// clearPart is room for a personal part on its way into a sealed one.
type clearPart struct{ b []byte }

var clearParts = sync.Pool{New: func() any { return &clearPart{make([]byte, 0, 512)} }}

// wipe gives the room back, holding nothing.
func (c *clearPart) wipe() {
	clear(c.b[:cap(c.b)])
	c.b = c.b[:0]
	clearParts.Put(c)
}

// SealWith is Seal with a minted key that was not added: for what is stored in the same all-or-nothing write as the key. Of two
// that create one organization the loser stores neither, and its keyring knows nothing of its key.
func (r *Keyring) SealWith(key audit.OrganizationKey, recordID string, p audit.Personal) (*audit.Sealed, error) {
	plain, err := codec.MarshalPersonal(&p)
	if err != nil {
		return nil, err
	}
	ready, err := r.unwrap(key.OrganizationUID, key.Wrapped)
	if err != nil {
		return nil, err
	}
	return sealWith(ready, key.OrganizationUID, recordID, plain)
}

// Open is the reverse of Seal.
func (r *Keyring) Open(organizationUID, recordID string, s *audit.Sealed) (audit.Personal, error) {
	plain, err := r.OpenBytes(organizationUID, recordID, s)
	if err != nil {
		return audit.Personal{}, err
	}
	return codec.UnmarshalPersonal(plain)
}

// SealBytes is Seal for records whose personal part is not an audit.Personal, such as a flow's state.
func (r *Keyring) SealBytes(organizationUID, recordID string, plain []byte) (*audit.Sealed, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	return sealWith(key, organizationUID, recordID, plain)
}

func sealWith(key *organizationKey, organizationUID, recordID string, plain []byte) (*audit.Sealed, error) {
	data, err := key.aead.Encrypt(plain, associated(organizationUID, recordID))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "SEAL_FAILED", "a personal part cannot be sealed")
	}
	b := make([]byte, saltBytes, saltBytes+sha256.Size)
	if _, err := rand.Read(b); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "SEAL_FAILED", "no random bytes")
	}
	d := digest(b, data)
	b = append(b, d[:]...)
	return &audit.Sealed{Salt: b[:saltBytes:saltBytes], Data: data, Digest: b[saltBytes:]}, nil
}

// OpenBytes is the reverse of SealBytes. An erased part, one of another record and one whose digest does not fit are errors.
func (r *Keyring) OpenBytes(organizationUID, recordID string, s *audit.Sealed) ([]byte, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	if s == nil || len(s.Data) == 0 {
		return nil, errs.New(errs.NotFound, "PERSONAL_ERASED", "the personal part was erased")
	}
	if d := digest(s.Salt, s.Data); !bytes.Equal(d[:], s.Digest) {
		return nil, errs.New(errs.Internal, "PERSONAL_UNREADABLE", "the personal part does not fit its digest")
	}
	plain, err := key.aead.Decrypt(s.Data, associated(organizationUID, recordID))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "PERSONAL_UNREADABLE", "the personal part cannot be opened")
	}
	return plain, nil
}

// Index returns the blind index of a value in the current key version.
func (r *Keyring) Index(organizationUID string, purpose audit.Purpose, value string) (audit.Index, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return audit.Index{}, err
	}
	return key.indexes[0].index(organizationUID, purpose, audit.IndexValue(purpose, value), make([]byte, 0, indexSize)), nil
}

// IndexTerms is Index for many values at once.
func (r *Keyring) IndexTerms(organizationUID string, terms []audit.IndexTerm) ([]audit.Index, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	out := make([]audit.Index, len(terms))
	values := make([]byte, 0, indexSize*len(terms))
	for i, t := range terms {
		n := len(values)
		out[i] = key.indexes[0].index(organizationUID, t.Purpose, audit.IndexValue(t.Purpose, t.Value), values[n:n])
		values = values[:n+indexSize]
	}
	return out, nil
}

// Indexes returns the blind index of a value in every live key version, current first.
func (r *Keyring) Indexes(organizationUID string, purpose audit.Purpose, value string) ([]audit.Index, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	value = audit.IndexValue(purpose, value)
	out := make([]audit.Index, len(key.indexes))
	for i := range key.indexes {
		out[i] = key.indexes[i].index(organizationUID, purpose, value, make([]byte, 0, indexSize))
	}
	return out, nil
}

// ready returns an organization's unwrapped key.
func (r *Keyring) ready(organizationUID string) (*organizationKey, error) {
	e, ok := r.find(organizationUID)
	if !ok {
		return nil, errs.New(errs.FailedPrecondition, "KEY_UNKNOWN", "the organization's key is not known to this process")
	}
	return r.key(e)
}

func (r *Keyring) find(organizationUID string) (*entry, bool) {
	v, ok := r.keys.Load(organizationUID)
	if !ok {
		return nil, false
	}
	e, ok := v.(*entry)
	return e, ok
}

// key returns e's unwrapped key, unwrapping it again when it was let go.
func (r *Keyring) key(e *entry) (*organizationKey, error) {
	if e.destroyed.Load() {
		return nil, errs.New(errs.FailedPrecondition, audit.KeyDestroyed, "the organization's key was destroyed: nothing personal can be kept or read any more")
	}
	if k := e.ready.Load(); k != nil {
		return k, nil
	}
	k, err := r.unwrap(e.uid, *e.wrapped.Load())
	if err != nil {
		return nil, err
	}
	r.keep(e, k)
	if e.destroyed.Load() { // meanwhile
		e.ready.Store(nil)
	}
	return k, nil
}

// keep caches an unwrapped key and lets the oldest go when there are too many.
func (r *Keyring) keep(e *entry, k *organizationKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.ready.Swap(k) != nil {
		return // another caller was faster; it is listed already
	}
	r.cached = append(r.cached, e)
	if len(r.cached) > r.limit {
		r.cached[0].ready.Store(nil)
		r.cached[0] = nil
		r.cached = r.cached[1:]
	}
}

// unwrap opens a wrapped key.
func (r *Keyring) unwrap(organizationUID string, w []byte) (*organizationKey, error) {
	if len(w) == 0 || w[0] != wrapFormat {
		return nil, errs.New(errs.FailedPrecondition, "KEY_UNREADABLE", "an organization key has a form this version does not know")
	}
	plain, err := r.sets.wrap.Decrypt(w[1:], []byte(organizationUID))
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, "KEY_UNREADABLE",
			"an organization key was wrapped by another master keyset or for another organization")
	}
	return parseKey(plain)
}

// associated binds a sealed part to its organization and record. Uids hold no NUL, so the two cannot run together.
func associated(organizationUID, recordID string) []byte {
	b := make([]byte, 0, len(organizationUID)+1+len(recordID))
	b = append(b, organizationUID...)
	b = append(b, 0)
	return append(b, recordID...)
}

// digest is what the integrity of a personal part rests on, erased or not.
func digest(salt, data []byte) [sha256.Size]byte {
	var stack [512]byte
	b := append(append(stack[:0], salt...), data...)
	return sha256.Sum256(b)
}
