package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/postern-audit/postern/internal/secret"
)

// S3Options say where a bucket is and who may use it.
type S3Options struct {
	Endpoint  string // https://host[:port]; http only where somebody said that it may be
	Bucket    string
	Prefix    string // in front of every name, with a slash at its end; may be empty
	Region    string
	AccessKey string
	SecretKey secret.String
	CAFile    string // PEM of authorities besides the system's; may be empty
}

// S3 keeps files in a bucket. Safe for concurrent use.
type S3 struct {
	client         *minio.Client
	bucket, prefix string
}

// Bounds of what is said to a server.
const (
	s3Retries = 3
	s3Threads = 2 // of one upload
	s3Part    = 16 << 20
	s3Answer  = time.Minute // until a server begins to answer
)

// NewS3 returns files in a bucket. Nothing is sent before they are used.
func NewS3(o S3Options) (*S3, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || o.Bucket == "" {
		return nil, errors.New("blob: an S3 endpoint is https://HOST and has a bucket")
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	transport.ResponseHeaderTimeout = s3Answer
	if o.CAFile != "" {
		if err := trust(transport, o.CAFile); err != nil {
			return nil, err
		}
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey.Reveal(), ""), Secure: u.Scheme == "https", Region: o.Region, Transport: transport,
		BucketLookup: minio.BucketLookupAuto, MaxRetries: s3Retries,
	})
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &S3{client: c, bucket: o.Bucket, prefix: o.Prefix}, nil
}

func trust(t *http.Transport, path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("blob: %s holds no certificate", path)
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return nil
}

// Put uploads the file at path under a name: whole, or not at all. The file at path stays.
func (s *S3) Put(ctx context.Context, name, path string) error {
	_, err := s.client.FPutObject(ctx, s.bucket, s.prefix+name, path, minio.PutObjectOptions{
		ContentType: "application/octet-stream", NumThreads: s3Threads, PartSize: s.part(path),
	})
	return s3Error(err)
}

// part is the size of an upload's parts, of which there are 10,000 at most.
func (s *S3) part(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return s3Part
	}
	const parts = 10_000
	size := uint64(max(0, info.Size()))
	return max(s3Part, (size/parts+s3Part)/s3Part*s3Part)
}

// Open reads a file. The error of one that is not there wraps fs.ErrNotExist.
func (s *S3) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, s3Error(err)
	}
	if _, err := o.Stat(); err != nil {
		return nil, errors.Join(s3Error(err), o.Close())
	}
	return o, nil
}

// Remove takes away every file whose name begins with prefix, except those named, and uploads under such names that were never ended.
func (s *S3) Remove(ctx context.Context, prefix string, except ...string) error {
	ctx, cancel := context.WithCancel(ctx) // ends the lists
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s3Error(o.Err)
		}
		if slices.Contains(except, strings.TrimPrefix(o.Key, s.prefix)) {
			continue
		}
		if err := s.client.RemoveObject(ctx, s.bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return s3Error(err)
		}
	}
	for u := range s.client.ListIncompleteUploads(ctx, s.bucket, s.prefix+prefix, true) {
		if u.Err != nil {
			return s3Error(u.Err)
		}
		if err := s.client.RemoveIncompleteUpload(ctx, s.bucket, u.Key); err != nil {
			return s3Error(err)
		}
	}
	return nil
}

// s3Error says what a server refused by its code. Texts of servers are left out: some repeat what was sent.
func s3Error(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch r := minio.ToErrorResponse(err); {
	case r.Code == "NoSuchKey":
		return fmt.Errorf("blob: %w", fs.ErrNotExist)
	case r.StatusCode != 0:
		return fmt.Errorf("blob: the S3 server answered %s (%d)", r.Code, r.StatusCode)
	}
	var dial *url.Error
	if errors.As(err, &dial) {
		return fmt.Errorf("blob: the S3 server cannot be reached: %w", dial.Err)
	}
	return fmt.Errorf("blob: %w", err)
}
