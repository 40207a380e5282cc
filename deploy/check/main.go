// Command check renders compose.yml and the kustomizations as the tools that they are for would, and prints what came of
// it as JSON, for main.ts to look at. What those tools would refuse ends it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

const usage = `usage:
  check compose FILE ENV_FILE   load a Compose file as Compose does, with the variables of ENV_FILE
  check kustomize FOLDER        build a kustomization, and hold each object against the API's types`

func main() {
	result, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) (any, error) {
	switch {
	case len(args) == 3 && args[0] == "compose":
		return loadCompose(args[1], args[2])
	case len(args) == 2 && args[0] == "kustomize":
		return buildKustomization(args[1])
	}
	return nil, errors.New(usage)
}
