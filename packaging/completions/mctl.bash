# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of mctl(1) for bash, without the functions of bash-completion.

__mctl_names() { # [mctl ps options]
    mctl --no-ask-password ps --format '{{.Name}}' "$@" 2>/dev/null
}

__mctl_images() {
    mctl --no-ask-password images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | sed 's/:latest$//; /<none>/d'
}

__mctl_options() { # verb
    local common='--no-ask-password --no-pager -h --help'
    local making='--name --hostname -e --env --env-file -w --workdir -u --user -l --label
        --network --net --ip -p --publish --stop-signal --stop-timeout --cap-add --cap-drop --security-opt --privileged --userns
        --pull --creds --authfile --tls-verify --tls-verify=false
        --entrypoint --ulimit --sysctl --oom-score-adj --init --device -v --volume --mount --tmpfs --read-only --shm-size --add-host --dns
        --restart --health-cmd --health-interval --health-timeout --health-retries --health-start-period
        --health-on-failure --no-healthcheck -t --tty --rm -q --quiet'
    local limits='-m --memory --memory-high --memory-low --memory-reservation --swap --memory-swap --oom-group
        --cpu --cpus --cpu-quota --cpu-period --cpu-weight --cpu-shares --cpuset --cpuset-cpus --cpuset-mems
        --pids --pids-limit --io-weight --blkio-weight --io-read-bps --device-read-bps --io-write-bps
        --device-write-bps --io-read-iops --device-read-iops --io-write-iops --device-write-iops'
    case $1 in
        '') echo "$common --version" ;;
        run) echo "$common $making $limits -d --detach -i --interactive --detach-keys" ;;
        create) echo "$common $making $limits -i --interactive" ;;
        attach) echo "$common --no-stdin --detach-keys" ;;
        exec) echo "$common -d --detach -i --interactive -t --tty -u --user -w --workdir -e --env --env-file" ;;
        start) echo "$common -a --attach -i --interactive --detach-keys" ;;
        stop) echo "$common -t --time --timeout -f --force" ;;
        kill) echo "$common -s --signal -a --all" ;;
        rm) echo "$common -f --force -v --volumes" ;;
        restart) echo "$common -t --time --timeout" ;;
        wait) echo "$common" ;;
        stats) echo "$common --no-stream --interval --format --json --json=short --json=pretty" ;;
        update) echo "$common $limits --restart" ;;
        pause | freeze | unpause | thaw | enable | disable) echo "$common" ;;
        ps | list | ls) echo "$common -a --all -q --quiet -f --filter --format --no-trunc --json --json=short --json=pretty" ;;
        images | 'image ls' | 'image list') echo "$common -q --quiet --format --no-trunc --json --json=short --json=pretty" ;;
        import | 'image import') echo "$common --busybox --private -c --change -m --message --author -q --quiet" ;;
        rmi | 'image rm') echo "$common -f --force" ;;
        tag | 'image tag') echo "$common" ;;
        'image inspect') echo "$common -f --format --pretty --pretty=false --json --json=short --json=pretty" ;;
        'image check') echo "$common" ;;
        'image prune') echo "$common -a --all -f --force" ;;
        pull | 'image pull') echo "$common --creds --authfile --tls-verify --tls-verify=false --platform --private -q --quiet" ;;
        push | 'image push') echo "$common --creds --authfile --tls-verify --tls-verify=false -q --quiet" ;;
        load | 'image load') echo "$common -i --input --platform --private -q --quiet" ;;
        history | 'image history') echo "$common --no-trunc -q --quiet --json --json=short --json=pretty" ;;
        save | 'image save') echo "$common -o --output" ;;
        'image share') echo "$common --off" ;;
        events) echo "$common --since --until --json --format" ;;
        logs) echo "$common -f --follow -n --tail --since --until -p --priority -g --grep -t --timestamps -o --output --raw" ;;
        port) echo "$common -p --publish --unpublish" ;;
        volume) echo "$common -l --label -a --all -f --force -q --quiet --json --json=short --json=pretty" ;;
        network) echo "$common --subnet --internal -q --quiet --json --json=short --json=pretty" ;;
        check) echo "$common -q --quiet --json --json=short --json=pretty" ;;
        inspect) echo "$common -f --format --pretty --pretty=false --json --json=short --json=pretty" ;;
    esac
}

__mctl_takes_value() { # verb option
    case $1,$2 in
        run,--name | run,--hostname | run,-[ewulm] | run,--env | run,--env-file | run,--workdir | run,--user) ;;
        run,--pull | run,--creds | run,--authfile) ;;
        pull,--creds | pull,--authfile | pull,--platform | push,--creds | push,--authfile) ;;
        'image pull',--creds | 'image pull',--authfile | 'image pull',--platform | 'image push',--creds | 'image push',--authfile) ;;
        run,--label | run,--entrypoint | run,--network | run,--net | run,--ip | run,-p | run,--publish | run,--stop-signal | run,--stop-timeout) ;;
        run,--cap-add | run,--cap-drop | run,--security-opt | run,--userns | run,--ulimit | run,--sysctl) ;;
        run,--oom-score-adj | run,--device | run,-v | run,--volume | run,--mount | run,--tmpfs | run,--shm-size) ;;
        run,--add-host | run,--dns | run,--restart | run,--health-*) ;;
        run,--oom-group | update,--oom-group) return 1 ;;
        run,--memory* | run,--swap | run,--cpu* | run,--pids* | run,--io-* | run,--blkio-weight) ;;
        exec,-[uwe] | exec,--user | exec,--workdir | exec,--env | exec,--env-file) ;;
        run,--device-*-?ps | run,--device-*-iops | update,-m | update,--*) ;;
        run,--detach-keys | start,--detach-keys | attach,--detach-keys) ;;
        network,--subnet | port,-p | port,--publish | port,--unpublish) ;;
        stop,-t | stop,--time | stop,--timeout | restart,-t | restart,--time | restart,--timeout | kill,-s | kill,--signal) ;;
        stats,--interval | stats,--format) ;;
        ps,-f | ps,--filter | ps,--format | inspect,-f | inspect,--format) ;;
        load,--platform | 'image load',--platform | volume,-l | volume,--label) ;;
        load,-i | load,--input | 'image load',-i | 'image load',--input) ;;
        save,-o | save,--output | 'image save',-o | 'image save',--output) ;;
        images,--format | 'image inspect',-f | 'image inspect',--format) ;;
        import,-[cm] | import,--change | import,--message | import,--author) ;;
        events,--since | events,--until | events,--format) ;;
        logs,-[nogp] | logs,--tail | logs,--since | logs,--until | logs,--output | logs,--grep | logs,--priority) ;;
        *) return 1 ;;
    esac
}

__mctl_values() { # verb option: what can stand there
    case $1,$2 in
        run,--env-file | exec,--env-file) compgen -f -- "$cur" ;;
        run,-e | run,--env | exec,-e | exec,--env) compgen -e -- "$cur" ;;
        run,-v | run,--volume) compgen -f -- "$cur"; compgen -W "$(mctl --no-ask-password volume ls -q 2>/dev/null)" -- "$cur" ;;
        run,--device) compgen -f -- "$cur" ;;
        run,--pull) compgen -W 'missing always never' -- "$cur" ;;
        run,--authfile | pull,--authfile | push,--authfile | load,-i | load,--input) compgen -f -- "$cur" ;;
        load,--platform | pull,--platform) compgen -W 'linux/amd64 linux/arm64' -- "$cur" ;;
        run,--restart | update,--restart) compgen -W 'no on-failure always unless-stopped' -- "$cur" ;;
        run,--health-on-failure) compgen -W 'none kill restart stop' -- "$cur" ;;
        run,--userns) compgen -W 'auto host' -- "$cur" ;;
        run,--security-opt) compgen -W 'strict seccomp=strict seccomp=unconfined no-new-privileges=false unmask=ALL' -- "$cur" ;;
        run,--network | run,--net) compgen -W "none $(mctl --no-ask-password network ls -q 2>/dev/null)" -- "$cur" ;;
        run,--stop-signal | kill,*) compgen -W "$(compgen -A signal | sed -n 's/^SIG//p')" -- "${cur#SIG}" ;;
        stats,--format) compgen -W 'table json' -- "$cur" ;;
        ps,--format) compgen -W 'table json ids' -- "$cur" ;;
        ps,*) compgen -W 'state=created state=starting state=running state=paused state=stopping state=restarting state=exited state=unreadable name= label=' -- "$cur" ;;
        logs,-o | logs,--output) compgen -W 'cat short short-full short-iso short-iso-precise short-precise short-monotonic short-unix with-unit verbose json json-pretty json-sse json-seq export' -- "$cur" ;;
        logs,-p | logs,--priority) compgen -W 'emerg alert crit err warning notice info debug' -- "$cur" ;;
    esac
}

__mctl_operands() { # verb
    case $1 in
        start) __mctl_names -f state=created -f state=exited -f state=restarting ;;
        stop | kill | exec | attach | wait | stats) __mctl_names ;;
        pause | freeze) __mctl_names -f state=running ;;
        unpause | thaw) __mctl_names -f state=paused ;;
        events | rm | logs | inspect | update | port | restart | enable | disable) __mctl_names -a ;;
        volume) echo 'create ls inspect rm prune'; mctl --no-ask-password volume ls -q 2>/dev/null ;;
        network) echo 'create ls inspect rm prune'; mctl --no-ask-password network ls -q 2>/dev/null ;;
        load | 'image load' | 'image prune') ;;
        images | rmi | tag | save | history | push | 'image '*) __mctl_images ;;
        image) echo 'check history import inspect list load ls prune pull push rm save share tag' ;;
        help) echo 'attach check create disable enable events exec history image images import inspect kill load logs network pause port ps pull push restart rm rmi run save start stats stop unpause update tag volume wait' ;;
    esac
}

_mctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' family='' word skip='' operands=0 i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $skip ]]; then
            skip=''
        elif [[ $word == -* ]]; then
            if __mctl_takes_value "$family" "$word"; then skip=$word; fi
        elif [[ -z $verb ]]; then
            verb=$word
            family=$word
            case $verb in create) family=run ;; freeze) family=pause ;; thaw) family=unpause ;; list | ls) family=ps ;; esac
        elif [[ $verb == image ]]; then
            verb="image $word"
            case $word in import) family=import ;; ls | list) family=images ;; *) family=$verb ;; esac
        else
            operands=$((operands + 1))
        fi
    done
    # After the image or root directory, or the container, all belongs to the command in the container.
    if [[ ($family == run || $family == exec) && $operands -gt 0 ]]; then
        return
    fi
    if [[ -n $skip ]]; then
        mapfile -t COMPREPLY < <(__mctl_values "$family" "$skip")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(__mctl_options "$verb")" -- "$cur")
    elif [[ -z $verb ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'check create disable enable events exec history image images import inspect kill load logs network pause port ps pull push restart rm rmi run save start stats stop unpause update tag volume wait help' -- "$cur")
    elif [[ $family == run ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(
            compgen -d -- "$cur"
            [[ $cur == [./]* ]] || compgen -W "$(__mctl_images)" -- "$cur"
        )
    elif [[ $family == import ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $verb != logs || $operands -eq 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(__mctl_operands "$verb")" -- "$cur")
    fi
}

complete -F _mctl mctl
