package main

import (
	"context"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose loads a Compose file as `docker compose --env-file` does, profiles included. Nothing else is asked: not this
// process' environment, and not a .env beside the file.
func loadCompose(file, envFile string) (*types.Project, error) {
	options, err := cli.NewProjectOptions(
		[]string{file},
		cli.WithWorkingDirectory(filepath.Dir(file)),
		cli.WithEnvFiles(envFile),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(),
		cli.WithoutEnvironmentResolution,
	)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}
