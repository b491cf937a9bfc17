"""Network policies: who may talk to the pods of this node, and whom these may talk to.

`plan` decides (pure), `ruleset` turns decisions into transactions (pure), `enforcer` watches and applies."""
