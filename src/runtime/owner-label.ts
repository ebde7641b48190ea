/** On whatever a node has an engine make: its own id. Two nodes on one engine leave each other's alone. */
export const OWNER_LABEL = 'container-manager.owner';
