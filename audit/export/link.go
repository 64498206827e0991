package export

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// Files keeps finished files. *blob.Disk and *blob.S3 are some.
type Files interface {
	// Put keeps the file at path under a name. The file at path stays.
	Put(ctx context.Context, name, path string) error
	// Open reads a file. The error of one that is not there wraps fs.ErrNotExist.
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
	// Remove takes away every file whose name begins so, except those named. What is not there is no error.
	Remove(ctx context.Context, prefix string, except ...string) error
}

// Part is what a link leads to.
type Part byte

// The parts of an export.
const (
	PartData     Part = 1
	PartManifest Part = 2
)

const (
	linkVersion = 1
	linkNonce   = 16
	linkMAC     = 32
	maxLink     = 1024
)

// Links are fresh links to an export's files.
type Links struct {
	Data, Manifest string
	Ends           time.Time
}

// Links makes links for a caller to a whole export; zero for any other. Each call makes others.
func (x *Jobs) Links(caller string, job *Job) Links {
	if job.State != StateSucceeded {
		return Links{}
	}
	ends := x.Now().Add(LinkFor).Truncate(time.Second)
	if job.Expires.Before(ends) {
		ends = job.Expires.Truncate(time.Second)
	}
	return Links{Data: x.link(caller, job, PartData, ends), Manifest: x.link(caller, job, PartManifest, ends), Ends: ends}
}

func (x *Jobs) link(caller string, job *Job, part Part, ends time.Time) string {
	nonce := make([]byte, linkNonce)
	x.Random(nonce)
	b := binary.BigEndian.AppendUint64([]byte{linkVersion, byte(part)}, uint64(ends.Unix())) //nolint:gosec // after 1970
	b = append(b, nonce...)
	b = append(b, fields(job.OrganizationUID, job.ID, string(job.sum(part)), caller)...)
	mac := x.Namer.ExportLink(b)
	return base64.RawURLEncoding.EncodeToString(append(b, mac[:]...))
}

func (j *Job) sum(part Part) []byte {
	if part == PartManifest {
		return j.ManifestSHA256
	}
	return j.SHA256
}

// opened is what a link says.
type opened struct {
	part            Part
	ends            time.Time
	nonce           []byte
	uid, id, caller string
	sum             []byte
}

// openLink reads a link that this installation made.
func (x *Jobs) openLink(text string) (opened, error) {
	if len(text) > maxLink {
		return opened{}, errLink()
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2+8+linkNonce+linkMAC || base64.RawURLEncoding.EncodeToString(b) != text {
		return opened{}, errLink() // the decoder passes over line ends
	}
	body, mac := b[:len(b)-linkMAC], b[len(b)-linkMAC:]
	want := x.Namer.ExportLink(body)
	if !hmac.Equal(mac, want[:]) || body[0] != linkVersion {
		return opened{}, errLink()
	}
	o := opened{part: Part(body[1]), ends: time.Unix(int64(binary.BigEndian.Uint64(body[2:])), 0), nonce: body[10 : 10+linkNonce]} //nolint:gosec // ours
	rest := body[10+linkNonce:]
	var parts [4][]byte
	for i := range parts {
		var ok bool
		if parts[i], rest, ok = field(rest); !ok {
			return opened{}, errLink()
		}
	}
	o.uid, o.id, o.sum, o.caller = string(parts[0]), string(parts[1]), parts[2], string(parts[3])
	return o, nil
}

// Fetched is a file that somebody has a link to.
type Fetched struct {
	Job     *Job
	Part    Part
	Content io.ReadSeekCloser
}

// Fetch opens what a link leads to. The first use of each link is on the record before anything is read. With an error of reason
// EXPORT_LINK_EXPIRED or EXPORT_NOT_FOUND comes the organization's id, when the link was a good one.
func (x *Jobs) Fetch(ctx context.Context, files Files, link string) (*Fetched, string, error) {
	o, err := x.openLink(link)
	if err != nil {
		return nil, "", err
	}
	job, err := x.Get(ctx, o.uid, o.id)
	if err != nil {
		return nil, "", err
	}
	if !x.Now().Before(o.ends) {
		return nil, job.Organization, errs.New(errs.PermissionDenied, "EXPORT_LINK_EXPIRED", "the link has expired; ask for the export again to get another one")
	}
	if job.State != StateSucceeded || !hmac.Equal(o.sum, job.sum(o.part)) {
		return nil, job.Organization, errLink()
	}
	if err := x.Ready(ctx, o.uid); err != nil {
		return nil, job.Organization, err
	}
	if _, err := x.Question(job); err != nil { // nothing of an organization whose key was destroyed is handed out
		return nil, job.Organization, err
	}
	name := job.stored()
	if o.part == PartManifest {
		name = job.storedManifest()
	}
	content, err := files.Open(ctx, name)
	if err != nil {
		return nil, job.Organization, errs.Wrap(err, errs.Unavailable, "EXPORT_STORAGE_UNAVAILABLE", "the file cannot be read at the moment")
	}
	if err := x.noteFetch(ctx, job, o); err != nil {
		_ = content.Close() // it was not read
		return nil, job.Organization, err
	}
	return &Fetched{Job: job, Part: o.part, Content: content}, job.Organization, nil
}

// noteFetch puts the first use of a link on the record.
func (x *Jobs) noteFetch(ctx context.Context, job *Job, o opened) error {
	e := x.event(job, o.caller, audit.TypeExportDownloaded)
	e.Changes = []audit.Change{{Field: "part", After: map[Part]string{PartData: "DATA", PartManifest: "MANIFEST"}[o.part]}}
	request := x.Namer.ExportRequest(o.caller, methodFetch, job.ID, hex.EncodeToString(o.nonce), nil)
	_, err := x.Store.Commit(ctx, Change{OrganizationUID: job.OrganizationUID, Event: &e, Request: &request, Answer: job.ID, Now: x.Now()})
	x.wake()
	return err
}

func errLink() error {
	return errs.New(errs.PermissionDenied, "EXPORT_LINK_INVALID", "the link is damaged, of another installation, or for a file that is gone")
}
