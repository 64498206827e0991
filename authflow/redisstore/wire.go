package redisstore

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// These write protobuf fields by hand into a buffer that is used again: a state is written with every step of every sign-in,
// and filling generated structs first costs several times as much. What is written is read by the generated code (decode.go),
// and the conformance suite compares every field. Absent is what is zero, as in proto3.

func appendText(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendBytes(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func appendNumber(b []byte, n protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v)) //nolint:gosec // two's complement is the wire form
}

func appendFlag(b []byte, n protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return appendNumber(b, n, 1)
}

// appendTime writes a google.protobuf.Timestamp: at most 16 bytes, so that one byte holds its length.
func appendTime(b []byte, n protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(protowire.AppendTag(b, n, protowire.BytesType), 0)
	at := len(b)
	b = appendNumber(b, 1, t.Unix())
	b = appendNumber(b, 2, int64(t.Nanosecond()))
	b[at-1] = byte(len(b) - at) //nolint:gosec // at most 16
	return b
}
