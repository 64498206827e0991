package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/postern-audit/postern/audit"
)

// A Parquet file is rows in groups and, at its end, a footer that says where each part of each group lies. Its writer holds all
// footers of a file in memory and cannot go on with one. So each group is written by itself, as a small file in memory; what lies
// between that file's beginning and its end goes behind what is there already, with the places in its footer moved by as much, and
// is kept as well for whoever goes on. The last footer is made of all that.

// groupRows is how many events a group has: what is held in memory.
const groupRows = 10_000

const magic = "PAR1"

type parquetFile struct {
	w       io.Writer
	keep    func([]byte) error
	columns []column
	schema  *parquet.Schema
	at      int64 // bytes of the file so far
	groups  []format.RowGroup
	rows    int64

	group  bytes.Buffer    // the small file
	writer *parquet.Writer //nolint:staticcheck // the generic one wants a type of Go, and the columns are a table
	in     int             // rows in it
	row    parquet.Row
}

func newParquet(w io.Writer, at int64, kept []byte, keep func([]byte) error) (*parquetFile, error) {
	p := &parquetFile{w: w, at: at, keep: keep, columns: columns()}
	p.schema = schemaOf(p.columns)
	p.begin()
	for len(kept) > 0 {
		n, size := binary.Uvarint(kept)
		if size <= 0 || n > uint64(len(kept)-size) { //nolint:gosec // not negative
			return nil, errors.New("format: what was kept of a Parquet file is damaged")
		}
		var g format.RowGroup
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), kept[size:size+int(n)], &g); err != nil { //nolint:gosec // checked
			return nil, fmt.Errorf("format: what was kept of a Parquet file is damaged: %w", err)
		}
		p.groups, p.rows, kept = append(p.groups, g), p.rows+g.NumRows, kept[size+int(n):] //nolint:gosec // checked
	}
	if at == 0 {
		return p, p.write([]byte(magic))
	}
	return p, nil
}

// begin begins another small file. Each has a writer of its own: one that is used again may write other bytes than a new one.
func (p *parquetFile) begin() {
	p.group.Reset()
	p.writer = parquet.NewWriter(&p.group, p.schema, parquet.Compression(&parquet.Snappy), parquet.CreatedBy("postern", "1", ""),
		parquet.PageBufferSize(bufferSize), parquet.WriteBufferSize(0))
}

// schemaOf makes a schema of the columns, in their order: every one may be absent.
func schemaOf(columns []column) *parquet.Schema {
	fields := make([]reflect.StructField, len(columns))
	for i := range columns {
		f := &fields[i]
		f.Name = "F" + fmt.Sprint(i)
		tag := columns[i].name + ",optional"
		switch c := &columns[i]; {
		case c.text != nil:
			f.Type, tag = reflect.TypeFor[string](), tag+",dict"
		case c.number != nil:
			f.Type = reflect.TypeFor[int64]()
		case c.flag != nil:
			f.Type = reflect.TypeFor[*bool]()
			tag = columns[i].name
		default:
			f.Type, tag = reflect.TypeFor[int64](), tag+",timestamp(microsecond)"
		}
		f.Tag = reflect.StructTag(`parquet:"` + tag + `"`)
	}
	return parquet.NewSchema("event", parquet.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface()))
}

// Append implements export.Encoder.
func (p *parquetFile) Append(e *audit.Event) error {
	p.row = p.row[:0]
	for i := range p.columns {
		v, ok := p.columns[i].value(e)
		if ok {
			p.row = append(p.row, v.Level(0, 1, i))
		} else {
			p.row = append(p.row, parquet.NullValue().Level(0, 0, i))
		}
	}
	if _, err := p.writer.WriteRows([]parquet.Row{p.row}); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if p.in++; p.in < groupRows {
		return nil
	}
	return p.flush()
}

// value is the column's value of an event.
func (c *column) value(e *audit.Event) (parquet.Value, bool) {
	switch {
	case c.text != nil:
		s := c.text(e)
		return parquet.ByteArrayValue([]byte(s)), s != ""
	case c.number != nil:
		n, ok := c.number(e)
		return parquet.Int64Value(n), ok
	case c.flag != nil:
		v, ok := c.flag(e)
		return parquet.BooleanValue(v), ok
	}
	t := c.moment(e)
	return parquet.Int64Value(micros(t)), !t.IsZero()
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// Settle implements export.Encoder.
func (p *parquetFile) Settle() (bool, error) { return p.in == 0, nil }

// flush ends the group.
func (p *parquetFile) flush() error {
	footer, err := p.end()
	if err != nil || len(footer.RowGroups) != 1 {
		return errors.Join(err, errors.New("format: a group of Parquet rows was not written as one"))
	}
	g := footer.RowGroups[0]
	if len(p.groups) > math.MaxInt16 {
		return errors.New("format: a Parquet file has at most 32768 groups of rows")
	}
	content := p.group.Bytes()[len(magic):dataEnd(&g, p.group.Len())]
	move(&g, p.at-int64(len(magic)), int16(len(p.groups))) //nolint:gosec // checked
	kept, err := thrift.Marshal(new(thrift.CompactProtocol), &g)
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	if err := p.keep(append(binary.AppendUvarint(nil, uint64(len(kept))), kept...)); err != nil {
		return err
	}
	var own format.RowGroup // g lies in the buffer of the small file
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), kept, &own); err != nil {
		return fmt.Errorf("format: %w", err)
	}
	p.groups, p.rows = append(p.groups, own), p.rows+own.NumRows
	return p.write(content)
}

// end ends the small file and reads its footer. The writer then begins another one.
func (p *parquetFile) end() (*format.FileMetaData, error) {
	if err := p.writer.Close(); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	b := p.group.Bytes()
	defer func() { p.in = 0 }()
	const tail = 4 + len(magic)
	if len(b) < tail {
		return nil, errors.New("format: a Parquet writer wrote no footer")
	}
	n := int(binary.LittleEndian.Uint32(b[len(b)-tail:]))
	if n > len(b)-tail {
		return nil, errors.New("format: a Parquet writer wrote no footer")
	}
	footer := &format.FileMetaData{}
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), b[len(b)-tail-n:len(b)-tail], footer); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return footer, nil
}

// dataEnd is where the rows of a small file end and indexes of its pages begin, which would have to be written anew to be moved.
func dataEnd(g *format.RowGroup, end int) int64 {
	first := int64(end)
	for i := range g.Columns {
		c := &g.Columns[i]
		for _, at := range [...]int64{c.ColumnIndexOffset, c.OffsetIndexOffset} {
			if at > 0 {
				first = min(first, at)
			}
		}
	}
	return first
}

// move says that a group lies further back.
func move(g *format.RowGroup, by int64, ordinal int16) {
	g.Ordinal = ordinal
	g.FileOffset += by
	for i := range g.Columns {
		c := &g.Columns[i]
		c.ColumnIndexOffset, c.ColumnIndexLength, c.OffsetIndexOffset, c.OffsetIndexLength = 0, 0, 0, 0
		for _, at := range [...]*int64{&c.FileOffset, &c.MetaData.DataPageOffset, &c.MetaData.DictionaryPageOffset, &c.MetaData.IndexPageOffset, &c.MetaData.BloomFilterOffset} {
			if *at > 0 {
				*at += by
			}
		}
	}
}

func (p *parquetFile) write(b []byte) error {
	n, err := p.w.Write(b)
	p.at += int64(n)
	p.begin()
	return err
}

// Close implements export.Encoder.
func (p *parquetFile) Close() error {
	if p.in > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	footer, err := p.end() // of a file without rows: schema and who wrote it
	if err != nil {
		return err
	}
	footer.NumRows, footer.RowGroups = p.rows, p.groups
	b, err := thrift.Marshal(new(thrift.CompactProtocol), footer)
	if err != nil {
		return fmt.Errorf("format: %w", err)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b))) //nolint:gosec // far below 4 GiB
	return p.write(append(b, magic...))
}
