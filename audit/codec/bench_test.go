package codec_test

import "testing"

func BenchmarkEncode(b *testing.B) {
	c, _ := newCodec(b)
	e := step()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode(&e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeSealed(b *testing.B) {
	c, _ := newCodec(b)
	e := step()
	if err := c.SealEvent(&e); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode(&e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c, _ := newCodec(b)
	e := step()
	record, err := c.Encode(&e)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	c, _ := newCodec(b)
	e := step()
	if err := c.SealEvent(&e); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Open(&e); err != nil {
			b.Fatal(err)
		}
	}
}
