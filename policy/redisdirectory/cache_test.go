package redisdirectory

import (
	"fmt"
	"testing"

	"github.com/postern-audit/postern/policy"
)

func TestTheCacheIsBoundedInNumberAndInBytes(t *testing.T) {
	c := NewCache(nil)
	for i := range maxCached + 100 {
		c.put(&policy.Organization{UID: fmt.Sprint(i), Revision: 1}, 1)
	}
	if len(c.all) != maxCached || c.bytes != maxCached {
		t.Errorf("%d records of %d bytes are kept", len(c.all), c.bytes)
	}
	const big = maxCachedBytes / 4
	for i := range 20 {
		uid := fmt.Sprint("big", i)
		c.put(&policy.Organization{UID: uid, Revision: 1}, big)
		if c.Peek(uid) == nil {
			t.Fatal("what was read last is not kept")
		}
	}
	sum := 0
	for _, have := range c.all {
		sum += have.size
	}
	if c.bytes > maxCachedBytes || c.bytes != sum || len(c.all) == 0 {
		t.Errorf("%d bytes are kept, %d counted", sum, c.bytes)
	}
}

func TestTheCacheKeepsTheNewerOfTwoAndItsSize(t *testing.T) {
	c := NewCache(nil)
	c.put(&policy.Organization{UID: "a", Revision: 2}, 100)
	c.put(&policy.Organization{UID: "a", Revision: 1}, 50) // an answer that was overtaken
	c.put(&policy.Organization{UID: "a", Revision: 3}, 0)  // the record did not move
	if o := c.Peek("a"); o.Revision != 3 || c.bytes != 100 {
		t.Errorf("revision %d of %d bytes", o.Revision, c.bytes)
	}
	c.put(&policy.Organization{UID: "a", Revision: 4}, 10)
	if c.bytes != 10 {
		t.Errorf("%d bytes", c.bytes)
	}
}
