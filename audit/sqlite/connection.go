package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// connection is the one that writes, with its prepared statements. Whoever uses it holds Archive.turn.
type connection struct {
	*sql.Conn
	stmts statements
}

// inWrite runs fn in one immediate transaction on the writing connection. Waiting for its turn ends with ctx; the transaction
// itself does not: it is short, and a commit cut off half-way would leave the caller guessing.
func (a *Archive) inWrite(ctx context.Context, fn func(context.Context, *connection) error) error {
	return a.onWriter(ctx, func(whole context.Context, conn *connection) error {
		tx, err := conn.BeginTx(whole, nil)
		if err != nil {
			return wrap(errors.Join(err, a.drop()))
		}
		if err := fn(whole, conn); err != nil {
			if undo := tx.Rollback(); undo != nil {
				return errors.Join(wrap(err), undo, a.drop()) // the connection ends, and with it what was not committed
			}
			return wrap(err)
		}
		if err := tx.Commit(); err != nil {
			return errors.Join(wrap(err), a.drop())
		}
		return nil
	})
}

// onWriter runs fn with the writing connection to itself.
func (a *Archive) onWriter(ctx context.Context, fn func(context.Context, *connection) error) error {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return wrap(ctx.Err())
	}
	defer func() { <-a.turn }()
	if err := ctx.Err(); err != nil {
		return wrap(err)
	}
	whole := context.WithoutCancel(ctx)
	if err := a.connect(whole); err != nil {
		return wrap(err)
	}
	return fn(whole, a.conn)
}

// connect makes sure that there is a connection.
func (a *Archive) connect(ctx context.Context) error {
	if a.conn != nil {
		return nil
	}
	conn, err := a.write.Conn(ctx)
	if err != nil {
		return err
	}
	a.conn = &connection{Conn: conn, stmts: statements{conn: conn}}
	return nil
}

// drop closes the connection for good, with whatever was not committed; the next writer gets a new one.
func (a *Archive) drop() error {
	if a.conn == nil {
		return nil
	}
	conn := a.conn
	a.conn = nil
	err := conn.stmts.close()
	// ErrBadConn keeps the pool from handing it out again.
	if raw := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(raw, driver.ErrBadConn) {
		err = errors.Join(err, raw, conn.Close())
	}
	return err
}
