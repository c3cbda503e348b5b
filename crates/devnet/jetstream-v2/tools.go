//go:build tools

package jetstream

import _ "github.com/bluesky-social/jetstream/cmd/jetstream"
