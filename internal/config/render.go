package config

import "strings"

// YAML returns c as a file that Load accepts, secrets redacted. comment returns the lines to put above a setting or, with an
// empty name at the end ("redis."), above a section; nil writes
// none; an empty line stays empty.
func YAML(c Config, comment func(path string) []string) string {
	if comment == nil {
		comment = func(string) []string { return nil }
	}
	var b strings.Builder
	var open []string
	for _, f := range Fields(&c) {
		parts := strings.Split(f.Path, ".")
		sections := parts[:len(parts)-1]
		for i := range sections {
			if i < len(open) && open[i] == sections[i] {
				continue
			}
			open = append(append([]string{}, open[:min(i, len(open))]...), sections[i])
			writeComment(&b, i, comment(strings.Join(sections[:i+1], ".")+"."))
			b.WriteString(strings.Repeat("  ", i) + sections[i] + ":\n")
		}
		open = open[:len(sections)]
		writeComment(&b, len(sections), comment(f.Path))
		b.WriteString(strings.Repeat("  ", len(sections)) + parts[len(parts)-1] + ": " + f.YAML() + "\n")
	}
	return b.String()
}

func writeComment(b *strings.Builder, depth int, lines []string) {
	for _, l := range lines {
		if l == "" {
			b.WriteString("\n")
			continue
		}
		b.WriteString(strings.Repeat("  ", depth) + "# " + l + "\n")
	}
}
