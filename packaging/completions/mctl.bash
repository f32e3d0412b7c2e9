# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of mctl(1) for bash, without the functions of bash-completion.

__mctl_names() { # [mctl ps options]
    mctl --no-ask-password ps --format '{{.Name}}' "$@" 2>/dev/null
}

__mctl_images() {
    mctl --no-ask-password images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | sed 's/:latest$//; /<none>/d; /:@/d'
}

__mctl_verbs() { # that are done to a container
    echo 'attach commit cp diff disable enable exec export kill logs net network pause port rename restart rm start stop top unpause update'
}

__mctl_options() { # verb
    local common='--no-ask-password --no-pager -h --help'
    local making='--name --hostname -e --env --env-file -w --workdir -u --user -l --label --label-file
        --network --net --ip --ip6 -p --publish -P --publish-all --expose --activate --idle --on-idle --stop-signal --stop-timeout --cap-add --cap-drop --security-opt --privileged --userns
        --pull --creds --authfile --tls-verify --tls-verify=false
        --entrypoint --ulimit --sysctl --oom-score-adj --init --machine --device -v --volume --mount --tmpfs --read-only --shm-size --add-host --dns --dns-search --network-alias --net-alias
        --restart --health-cmd --health-interval --health-timeout --health-retries --health-start-period
        --health-on-failure --credential --sdnotify --no-healthcheck -t --tty --platform --cidfile --rm -q --quiet'
    local limits='-m --memory --memory-high --memory-low --memory-reservation --swap --memory-swap --oom-group
        --cpu --cpus --cpu-quota --cpu-period --cpu-weight --cpu-shares --cpuset --cpuset-cpus --cpuset-mems
        --pids --pids-limit --io-weight --blkio-weight --io-read-bps --device-read-bps --io-write-bps
        --device-write-bps --io-read-iops --device-read-iops --io-write-iops --device-write-iops --hugetlb'
    case $1 in
        '') echo "$common -H --host -M --machine -v --version" ;;
        run) echo "$common $making $limits -d --detach -i --interactive --detach-keys" ;;
        cp) echo "$common -a --archive -L --follow-link -q --quiet" ;;
        create) echo "$common $making $limits -i --interactive" ;;
        attach) echo "$common --no-stdin --detach-keys" ;;
        exec) echo "$common -d --detach -i --interactive -t --tty -u --user -w --workdir -e --env --env-file" ;;
        start) echo "$common -a --attach -i --interactive --detach-keys" ;;
        stop) echo "$common -t --time --timeout -f --force" ;;
        kill) echo "$common -s --signal -a --all" ;;
        rm) echo "$common -f --force -v --volumes" ;;
        restart) echo "$common -t --time --timeout" ;;
        wait) echo "$common --ready --json --json=short --json=pretty" ;;
        rename) echo "$common" ;;
        diff) echo "$common --json --json=short --json=pretty" ;;
        top) echo "$common -o -a -e -f -u -x --json --json=short --json=pretty" ;;
        stats) echo "$common -a --all --no-stream --interval --format --json --json=short --json=pretty" ;;
        update) echo "$common $limits --ulimit --device --device-rm --restart" ;;
        pause | freeze | unpause | thaw | enable | disable) echo "$common" ;;
        ps | list | ls) echo "$common -a --all -q --quiet -f --filter -n --last -l --latest --format --no-trunc -s --size --json --json=short --json=pretty" ;;
        prune) echo "$common -v --volumes -f --force" ;;
        'system df') echo "$common -v --verbose --json --json=short --json=pretty" ;;
        'system prune') echo "$common -a --all -v --volumes -f --force" ;;
        info) echo "$common --json --json=short --json=pretty" ;;
        images | 'image ls' | 'image list') echo "$common -a --all -q --quiet -f --filter --format --no-trunc --json --json=short --json=pretty" ;;
        import | 'image import') echo "$common --busybox --private -c --change -m --message --author -q --quiet" ;;
        build | 'image build') echo "$common $limits -t --tag -f --file --build-arg --target --no-cache --secret --ssh --iidfile --network --label --private
            --pull --pull=never --creds --authfile --tls-verify --tls-verify=false -q --quiet" ;;
        commit) echo "$common -c --change -m --message -a --author -p --pause --pause=false --private -q --quiet" ;;
        export) echo "$common -o --output --pause --pause=false" ;;
        rmi | 'image rm' | 'image remove') echo "$common -f --force" ;;
        tag | 'image tag') echo "$common" ;;
        'image inspect') echo "$common -f --format --pretty --pretty=false --json --json=short --json=pretty" ;;
        'image check') echo "$common --repair" ;;
        'image prune') echo "$common -a --all -f --force" ;;
        pull | 'image pull') echo "$common --creds --authfile --tls-verify --tls-verify=false --platform --private -q --quiet" ;;
        push | 'image push') echo "$common --creds --authfile --tls-verify --tls-verify=false -q --quiet" ;;
        load | 'image load') echo "$common -i --input --platform --private -q --quiet" ;;
        history | 'image history') echo "$common --no-trunc -q --quiet --json --json=short --json=pretty" ;;
        save | 'image save') echo "$common -o --output --format" ;;
        'image share') echo "$common --off" ;;
        events) echo "$common --since --until -f --filter --json --format" ;;
        logs) echo "$common -f --follow -n --tail --since --until -p --priority -g --grep -t --timestamps -o --output --raw" ;;
        port) echo "$common -p --publish --unpublish --json --json=short --json=pretty" ;;
        net) echo "$common --deny --allow --no-bind --json --json=short --json=pretty" ;;
        volume) echo "$common -l --label -a --all -f --force -q --quiet --json --json=short --json=pretty" ;;
        network) echo "$common --subnet --internal --mtu -d --driver --parent --mode -o --opt --gateway --ip-range --shared --ip --ip6 --alias -f --force -q --quiet --json --json=short --json=pretty" ;;
        can) echo "$common -q --quiet --json --json=short --json=pretty" ;;
        who-can) echo "$common -u --user --json --json=short --json=pretty" ;;
        why-not) echo "$common --json --json=short --json=pretty" ;;
        check) echo "$common -q --quiet --json --json=short --json=pretty" ;;
        inspect) echo "$common --type -f --format --pretty --pretty=false --json --json=short --json=pretty" ;;
    esac
}

__mctl_takes_value() { # verb option
    case $1,$2 in
        ,-[HM] | ,--host | ,--machine) ;;
        run,--name | run,--hostname | run,-[ewulm] | run,--env | run,--env-file | run,--workdir | run,--user) ;;
        run,--pull | run,--creds | run,--authfile | run,--platform | run,--cidfile | run,--label-file | run,--expose) ;;
        pull,--creds | pull,--authfile | pull,--platform | push,--creds | push,--authfile) ;;
        'image pull',--creds | 'image pull',--authfile | 'image pull',--platform | 'image push',--creds | 'image push',--authfile) ;;
        run,--label | run,--entrypoint | run,--network | run,--net | run,--ip | run,--ip6 | run,-p | run,--publish | run,--activate | run,--idle | run,--on-idle | run,--stop-signal | run,--stop-timeout) ;;
        run,--cap-add | run,--cap-drop | run,--security-opt | run,--userns | run,--ulimit | run,--sysctl) ;;
        run,--oom-score-adj | run,--device | run,-v | run,--volume | run,--mount | run,--tmpfs | run,--shm-size) ;;
        run,--add-host | run,--dns | run,--dns-search | run,--network-alias | run,--net-alias | run,--restart | run,--health-* | run,--credential | run,--sdnotify) ;;
        run,--oom-group | update,--oom-group) return 1 ;;
        run,--memory* | run,--swap | run,--cpu* | run,--pids* | run,--io-* | run,--blkio-weight) ;;
        exec,-[uwe] | exec,--user | exec,--workdir | exec,--env | exec,--env-file) ;;
        run,--device-*-?ps | run,--device-*-iops | update,-m | update,--*) ;;
        run,--detach-keys | start,--detach-keys | attach,--detach-keys) ;;
        who-can,-u | who-can,--user) ;;
        net,--* | network,--subnet | network,--mtu | network,--gateway | network,--ip-range | network,--parent | network,--mode | network,-[do] | network,--driver | network,--opt | network,--ip | network,--ip6 | network,--alias | port,-p | port,--publish | port,--unpublish) ;;
        stop,-t | stop,--time | stop,--timeout | restart,-t | restart,--time | restart,--timeout | kill,-s | kill,--signal) ;;
        stats,--interval | stats,--format) ;;
        ps,-f | ps,--filter | ps,--format | ps,-n | ps,--last | inspect,-f | inspect,--format | inspect,--type | top,-o) ;;
        load,--platform | 'image load',--platform | volume,-l | volume,--label) ;;
        load,-i | load,--input | 'image load',-i | 'image load',--input) ;;
        save,-o | save,--output | save,--format | 'image save',-o | 'image save',--output | 'image save',--format) ;;
        images,--format | images,-f | images,--filter | 'image inspect',-f | 'image inspect',--format) ;;
        build,-[tfm] | build,--tag | build,--file | build,--build-arg | build,--target | build,--network | build,--label | build,--secret | build,--ssh) ;;
        build,--creds | build,--authfile | build,--memory* | build,--swap | build,--cpu* | build,--pids*) ;;
        commit,-[cma] | commit,--change | commit,--message | commit,--author | export,-o | export,--output) ;;
        import,-[cm] | import,--change | import,--message | import,--author) ;;
        events,--since | events,--until | events,--format | events,-f | events,--filter) ;;
        logs,-[nogp] | logs,--tail | logs,--since | logs,--until | logs,--output | logs,--grep | logs,--priority) ;;
        *) return 1 ;;
    esac
}

__mctl_values() { # verb option: what can stand there
    case $1,$2 in
        ,-H | ,--host) compgen -A hostname -- "$cur" ;;
        ,-M | ,--machine) compgen -W "$(machinectl list --no-legend --no-pager 2>/dev/null | cut -d' ' -f1)" -- "$cur" ;;
        build,-f | build,--file | run,--env-file | run,--label-file | run,--cidfile | exec,--env-file | export,-o | export,--output) compgen -f -- "$cur" ;;
        run,-e | run,--env | exec,-e | exec,--env) compgen -e -- "$cur" ;;
        run,-v | run,--volume) compgen -f -- "$cur"; compgen -W "$(mctl --no-ask-password volume ls -q 2>/dev/null)" -- "$cur" ;;
        run,--device | update,--device) compgen -f -- "$cur" ;;
        run,--pull) compgen -W 'missing always never' -- "$cur" ;;
        run,--authfile | pull,--authfile | push,--authfile | load,-i | load,--input) compgen -f -- "$cur" ;;
        load,--platform | pull,--platform | run,--platform) compgen -W 'linux/amd64 linux/arm64' -- "$cur" ;;
        run,--restart | update,--restart) compgen -W 'no on-failure always unless-stopped' -- "$cur" ;;
        run,--health-on-failure) compgen -W 'none kill restart stop' -- "$cur" ;;
        run,--on-idle) compgen -W 'stop freeze' -- "$cur" ;;
        run,--sdnotify) compgen -W 'ignore container healthy' -- "$cur" ;;
        run,--userns) compgen -W 'auto host' -- "$cur" ;;
        run,--security-opt) compgen -W 'strict seccomp=strict seccomp=unconfined no-new-privileges=false unmask=ALL' -- "$cur" ;;
        run,--network | run,--net) compgen -W "none host container: $(mctl --no-ask-password network ls -q 2>/dev/null)" -- "$cur" ;;
        run,--stop-signal | kill,*) compgen -W "$(compgen -A signal | sed -n 's/^SIG//p')" -- "${cur#SIG}" ;;
        who-can,-u | who-can,--user) compgen -u -- "$cur" ;;
        stats,--format) compgen -W 'table json' -- "$cur" ;;
        ps,-n | ps,--last) ;;
        images,-f | images,--filter) compgen -W 'dangling=true dangling=false reference= label=' -- "$cur" ;;
        save,--format | 'image save',--format) compgen -W 'oci-archive docker-archive' -- "$cur" ;;
        ps,--format) compgen -W 'table json ids' -- "$cur" ;;
        ps,*) compgen -W 'state=created state=starting state=running state=paused state=stopping state=restarting state=exited state=unreadable name= id= image= label= health=healthy health=unhealthy health=starting health=none exited= network= volume= publish= before= since=' -- "$cur" ;;
        inspect,--type) compgen -W 'container image network volume' -- "$cur" ;;
        top,-o) compgen -W 'args comm etime hpid huser pid ppid rss stat time user' -- "$cur" ;;
        events,-f | events,--filter) compgen -W 'container= event=started event=exited event=restarting event=given-up event=not-started event=network-lost event=health' -- "$cur" ;;
        logs,-o | logs,--output) compgen -W 'cat short short-full short-iso short-iso-precise short-precise short-monotonic short-unix with-unit verbose json json-pretty json-sse json-seq export' -- "$cur" ;;
        logs,-p | logs,--priority) compgen -W 'emerg alert crit err warning notice info debug' -- "$cur" ;;
    esac
}

__mctl_operands() { # verb
    case $1 in
        can) if ((operands)); then __mctl_verbs; else __mctl_names -a; fi ;;
        who-can) if ((operands)); then __mctl_names -a; else __mctl_verbs; fi ;;
        why-not) case $operands in 0) compgen -u ;; 1) __mctl_verbs ;; *) __mctl_names -a ;; esac ;;
        start) __mctl_names -f state=created -f state=exited -f state=restarting ;;
        stop | kill | exec | attach | wait | stats | top) __mctl_names ;;
        pause | freeze) __mctl_names -f state=running ;;
        unpause | thaw) __mctl_names -f state=paused ;;
        commit | diff | export | events | rm | rename | logs | inspect | update | port | net | restart | enable | disable) __mctl_names -a ;;
        volume) echo 'create ls list inspect rm remove prune'; mctl --no-ask-password volume ls -q 2>/dev/null ;;
        network) echo 'create ls list inspect rm remove prune connect disconnect'; mctl --no-ask-password network ls -q 2>/dev/null ;;
        load | 'image load' | 'image prune' | 'system '*) ;;
        images | rmi | tag | save | history | push | 'image '*) __mctl_images ;;
        image) echo 'build check history import inspect list load ls prune pull push remove rm save share tag' ;;
        container) echo 'attach commit cp create diff exec export inspect kill list logs ls pause port prune ps remove rename restart rm run start stats stop top unpause update wait' ;;
        system) echo 'check df events info prune' ;;
        help) echo 'attach build can check commit container cp create diff disable enable events exec export history image images import info inspect kill load logs net network pause port prune ps pull push rename restart rm rmi run save start stats stop system tag top unpause update volume wait who-can why-not' ;;
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
        elif [[ $verb == container ]]; then
            verb=$word
            family=$word
            case $verb in create) family=run ;; list | ls) family=ps ;; remove) verb=rm family=rm ;; esac
        elif [[ $verb == system ]]; then
            verb=$word
            case $word in df | prune) verb="system $word" ;; esac
            family=$verb
        elif [[ $verb == image ]]; then
            verb="image $word"
            case $word in import | build) family=$word ;; ls | list) family=images ;; *) family=$verb ;; esac
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
        mapfile -t COMPREPLY < <(compgen -W 'attach build can check commit container cp create diff disable enable events exec export history image images import info inspect kill load logs net network pause port prune ps pull push rename restart rm rmi run save start stats stop system tag top unpause update volume wait who-can why-not help' -- "$cur")
    elif [[ $family == run ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(
            compgen -d -- "$cur"
            [[ $cur == [./]* ]] || compgen -W "$(__mctl_images)" -- "$cur"
        )
    elif [[ $family == cp ]]; then
        compopt -o filenames -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(
            compgen -f -- "$cur"
            [[ $cur == [./]* ]] || compgen -S : -W "$(__mctl_names -a)" -- "$cur"
        )
    elif [[ $family == import || $family == build ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $verb != logs || $operands -eq 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(__mctl_operands "$verb")" -- "$cur")
    fi
}

complete -F _mctl mctl
