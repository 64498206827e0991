//go:build !unix

package doctor

import "errors"

func freePercent(string) (float64, error) { return 0, errors.ErrUnsupported }
