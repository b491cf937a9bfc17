#!/bin/sh
# Before nginx starts: each /etc/nginx/templates/NAME.template becomes /etc/nginx/conf.d/NAME, with ${VARIABLE} replaced by what is
# in the environment; other dollars are nginx's own. NGINX_LOCAL_RESOLVERS holds the name servers of /etc/resolv.conf.
set -e
if [ -z "$NGINX_LOCAL_RESOLVERS" ]; then
    NGINX_LOCAL_RESOLVERS=$(awk '$1 == "nameserver" { print ($2 ~ ":") ? "["$2"]" : $2 }' /etc/resolv.conf 2>/dev/null | tr '\n' ' ')
    export NGINX_LOCAL_RESOLVERS=${NGINX_LOCAL_RESOLVERS% }
fi
for template in /etc/nginx/templates/*.template; do
    [ -e "$template" ] || continue
    name=${template##*/}
    awk '{
        line = ""
        while (match($0, /\$\{[A-Za-z_][A-Za-z0-9_]*\}/)) {
            name = substr($0, RSTART + 2, RLENGTH - 3)
            line = line substr($0, 1, RSTART - 1) (name in ENVIRON ? ENVIRON[name] : substr($0, RSTART, RLENGTH))
            $0 = substr($0, RSTART + RLENGTH)
        }
        print line $0
    }' "$template" >"/etc/nginx/conf.d/${name%.template}"
done
exec "$@"
