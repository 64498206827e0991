package interceptor

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/errs"
)

// frame is a request as it came. grpc answers by itself when a codec refuses a message, without reason and before any
// interceptor hears of it; so the codec only keeps the bytes, and decoding is a part of the chain.
type frame struct {
	data mem.Buffer
}

// Codec is the codec of the server: protobuf out; in, bytes for the chain to decode.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(grpcproto.Name)} }

type codec struct{ encoding.CodecV2 }

// Unmarshal keeps the bytes of a frame; other values are decoded as usual.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v) //nolint:wrapcheck // grpc's own codec, for grpc
	}
	f.free()
	f.data = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}

func (f *frame) free() {
	if f.data != nil {
		f.data.Free()
		f.data = nil
	}
}

// decode reads one request with recv and decodes it into v, within the limit.
func (f *frame) decode(recv func(any) error, v any, limit int) error {
	message, ok := v.(proto.Message)
	if !ok {
		return errs.New(errs.Internal, "INTERNAL", "not a protobuf message")
	}
	defer f.free()
	if err := recv(f); err != nil {
		return err
	}
	var data []byte
	if f.data != nil {
		data = f.data.ReadOnlyData()
	}
	if len(data) > limit {
		return errs.Newf(errs.ResourceExhausted, "MESSAGE_TOO_LARGE", "the request has %d bytes; this method takes %d", len(data), limit)
	}
	if err := proto.Unmarshal(data, message); err != nil {
		// The cause may quote the request: it stays out of text and log.
		return errs.New(errs.Invalid, "REQUEST_MALFORMED", "the request is not valid protobuf, or a text in it is not UTF-8")
	}
	return nil
}
