#compdef muster
# Made by `muster completion`; do not edit.
_muster_commands='status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
cluster status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
cluster members|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster init|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster join|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --check --token-file --yes --keep-records
cluster leave|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes --hand-over
cluster reset|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --check --yes
cluster rebuild|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --check --yes
cluster remove|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --force --yes
cluster transfer|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster settings|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster set|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster certificates|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster recover|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes --dry-run
cluster recovery-key|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster key|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
cluster rotate-key|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --check --wait --no-wait --yes
cluster token create|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --for --ttl
cluster token list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cluster token revoke|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
registration status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
registration watch|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
registration enable|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --mode --machine
registration disable|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --mode --machine --yes
registration register|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --token-file --wait --no-wait --mode --machine
registration deregister|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --wait --no-wait --mode --machine --yes --forget
registration hand-over|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
credentials list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
credentials add|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --password-file --region --client-id --replace
credentials verify|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
credentials select|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
credentials remove|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
records search|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --since --until --before --limit
export status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
export pause|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --reason
export resume|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
export dead-letters list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --after --limit
export dead-letters retry|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
export dead-letters discard|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
snapshot save|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
snapshot status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
snapshot restore|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes --dry-run --recovery-key-file
operator add|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --days --directory
operator list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
operator remove|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
audit list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --since --until --after --limit --actor --method
audit verify|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
node status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
node retry|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
node saved list|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
node saved submit|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
node saved discard|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --yes
doctor|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --region --config
version|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
describe|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
digest|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --deep
completion|--socket --address --ca --certificate --key --timeout --stale --output --comment --help
cloudserviceconfig status|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --watch
cloudserviceconfig enable|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --mode --machine
cloudserviceconfig disable|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --mode --machine --yes
cloudserviceconfig settrs|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --mode --machine
cloudserviceconfig register|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --token-file --wait --no-wait --mode --machine
cloudserviceconfig deregister|--socket --address --ca --certificate --key --timeout --stale --output --comment --help --wait --no-wait --mode --machine --yes --forget
'
_muster_next() { # words so far -> words that may follow
    local so_far="$1" current="$2" line words
    while IFS= read -r line; do
        words="${line%%|*}"
        if [[ "$current" == -* ]]; then
            [[ "$words" == "$so_far" ]] && printf '%s\n' ${=line#*|}
        elif [[ -z "$so_far" ]]; then
            printf '%s\n' "${words%% *}"
        elif [[ "$words" == "$so_far "* ]]; then
            words="${words#"$so_far "}"
            printf '%s\n' "${words%% *}"
        fi
    done <<<"$_muster_commands" | sort -u
}
_muster() {
    local so_far="" i
    for ((i = 2; i < CURRENT; i++)); do
        [[ "${words[i]}" == -* ]] || so_far+="${so_far:+ }${words[i]}"
    done
    compadd -- ${(f)"$(_muster_next "$so_far" "${words[CURRENT]}")"}
}
compdef _muster muster
