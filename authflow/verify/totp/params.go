package totp

import (
	"time"

	"github.com/pquerna/otp"

	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
)

// Algorithm is the hash of the HMAC that makes the codes.
type Algorithm = factor.Algorithm

// The algorithms.
const (
	SHA1   = factor.SHA1
	SHA256 = factor.SHA256
	SHA512 = factor.SHA512
)

// MaxWindow bounds how many steps before or after the present one are accepted.
const MaxWindow = 1

// Params say how codes are made and how much clocks may differ. The zero value is not valid.
type Params struct {
	Algorithm Algorithm
	Digits    int           // 6 to 8
	Period    time.Duration // 15 to 120 whole seconds
	Back      int           // steps before the present one that are accepted: 0 or 1
	Ahead     int           // steps after it: 0 or 1
}

// Default is what every app understands: SHA1, 6 digits, 30 seconds, one step either way.
func Default() Params {
	return Params{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second, Back: 1, Ahead: 1}
}

// ParseParams reads how codes are made, with the window of Default. Empty or zero means Default's.
func ParseParams(algorithm string, digits int, period time.Duration) (Params, error) {
	p := Default()
	if algorithm != "" {
		a, err := factor.ParseAlgorithm(algorithm)
		if err != nil {
			return Params{}, err
		}
		p.Algorithm = a
	}
	if digits != 0 {
		p.Digits = digits
	}
	if period != 0 {
		p.Period = period
	}
	if err := p.Validate(); err != nil {
		return Params{}, err
	}
	return p, nil
}

// Validate refuses parameters out of their bounds.
func (p Params) Validate() error {
	if err := factor.CheckCodeForm(p.Algorithm, p.Digits, p.Period); err != nil {
		return err
	}
	if p.Back < 0 || p.Back > MaxWindow || p.Ahead < 0 || p.Ahead > MaxWindow {
		return errs.Field("window", "FIELD_INVALID", "0 or 1 steps back and ahead")
	}
	return nil
}

// Step is the number of the period that now lies in; negative before 1970.
func (p Params) Step(now time.Time) int64 {
	period, unix := int64(p.Period/time.Second), now.Unix()
	step := unix / period
	if unix%period < 0 {
		step--
	}
	return step
}

// library is the algorithm as the library numbers it; only known ones get here.
func library(a Algorithm) otp.Algorithm {
	switch a {
	case SHA256:
		return otp.AlgorithmSHA256
	case SHA512:
		return otp.AlgorithmSHA512
	default:
		return otp.AlgorithmSHA1
	}
}
