package redisx

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// LogDriver sends what go-redis says by itself (it dials in the background) to log, at level debug: every failure that
// matters also comes back as an error. go-redis has one logger for the whole program, so the program calls this once.
func LogDriver(log *slog.Logger) { redis.SetLogger(driverLog{log}) }

type driverLog struct{ log *slog.Logger }

// Printf implements go-redis' logger.
func (l driverLog) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis driver", slog.String("text", fmt.Sprintf(format, args...)))
	}
}
