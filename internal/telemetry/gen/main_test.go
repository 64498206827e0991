package main

import (
	"os"
	"testing"
)

func TestThePageIsFresh(t *testing.T) {
	got, err := os.ReadFile("../../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != reference() {
		t.Errorf("%s is stale: run `make docs`", page)
	}
}
