package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// jsonLines writes one event a line, in the JSON form of postern.v1.Event.
type jsonLines struct {
	w       io.Writer
	b       bytes.Buffer
	scratch []byte
}

// Append implements export.Encoder.
func (j *jsonLines) Append(e *audit.Event) error {
	var err error
	if j.scratch, err = (protojson.MarshalOptions{}).MarshalAppend(j.scratch[:0], codec.ToProto(e)); err != nil {
		return fmt.Errorf("format: an event has no JSON form: %w", err)
	}
	if err := json.Compact(&j.b, j.scratch); err != nil { // without the white space that protojson varies
		return fmt.Errorf("format: %w", err)
	}
	j.b.WriteByte('\n')
	if j.b.Len() < bufferSize {
		return nil
	}
	return j.write()
}

func (j *jsonLines) write() error {
	_, err := j.w.Write(j.b.Bytes())
	j.b.Reset()
	return err
}

// Settle implements export.Encoder.
func (j *jsonLines) Settle() (bool, error) { return true, j.write() }

// Close implements export.Encoder.
func (j *jsonLines) Close() error { return j.write() }

// FilterJSON shows an encoded postern.v1.EventFilter as JSON.
func FilterJSON(encoded []byte) ([]byte, error) {
	var f posternv1.EventFilter
	if err := proto.Unmarshal(encoded, &f); err != nil {
		return nil, fmt.Errorf("format: no filter: %w", err)
	}
	b, err := protojson.Marshal(&f)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return b, nil
}

// EventJSON shows an event as JSON.
func EventJSON(e *audit.Event) ([]byte, error) { return protojson.Marshal(codec.ToProto(e)) }
