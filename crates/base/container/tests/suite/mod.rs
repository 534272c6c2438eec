mod podman;
