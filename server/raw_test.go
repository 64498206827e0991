package server_test

import (
	"errors"

	"google.golang.org/grpc/mem"

	"github.com/postern-audit/postern/server/status"
)

// rawCodec sends and takes bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("raw: not bytes")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return errors.New("raw: not bytes")
	}
	*b = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

func reasonOf(err error) (reason, callID string) { return status.Reason(err) }
