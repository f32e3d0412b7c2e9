# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of mctl(1) for fish.

function __mctl_names
    mctl --no-ask-password ps --format '{{.Name}}' $argv 2>/dev/null
end

function __mctl_images
    mctl --no-ask-password images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | string match -v '*<none>*' | string replace -r ':latest$' ''
end

function __mctl_verb
    for word in (commandline -opc)[2..]
        string match -q -- '-*' $word; or begin
            echo $word
            return
        end
    end
end

function __mctl_is
    contains -- (__mctl_verb) $argv
end

function __mctl_no_verb
    test -z (__mctl_verb)
end

complete -c mctl -f
complete -c mctl -l no-ask-password -d 'Never ask for a password'
complete -c mctl -l no-pager -d 'Accepted and ignored'
complete -c mctl -s h -l help -d 'Show help'
complete -c mctl -n __mctl_no_verb -l version -d 'Show the version'

complete -c mctl -n __mctl_no_verb -a attach -d 'Show the output of a container that runs, or its terminal'
complete -c mctl -n __mctl_no_verb -a check -d 'Say what this host lacks for containers'
complete -c mctl -n __mctl_no_verb -a create -d 'Make a container without starting it'
complete -c mctl -n __mctl_no_verb -a exec -d 'Execute a command in a container that runs'
complete -c mctl -n __mctl_no_verb -a image -d 'Manage images'
complete -c mctl -n __mctl_no_verb -a images -d 'List images'
complete -c mctl -n __mctl_no_verb -a import -d 'Make an image from a directory or an archive'
complete -c mctl -n __mctl_no_verb -a inspect -d 'Show all that is known about containers'
complete -c mctl -n __mctl_no_verb -a kill -d 'Send a signal to containers'
complete -c mctl -n __mctl_no_verb -a logs -d 'Show what a container has printed'
complete -c mctl -n __mctl_no_verb -a network -d 'Make, list, show and remove networks'
complete -c mctl -n __mctl_no_verb -a pause -d 'Freeze containers where they are'
complete -c mctl -n __mctl_no_verb -a port -d 'Show and change what ports are published'
complete -c mctl -n __mctl_no_verb -a ps -d 'List containers'
complete -c mctl -n __mctl_no_verb -a rm -d 'Remove containers'
complete -c mctl -n __mctl_no_verb -a rmi -d 'Remove images, or names of them'
complete -c mctl -n __mctl_no_verb -a run -d 'Make a container and start it'
complete -c mctl -n __mctl_no_verb -a save -d 'Write an image as an archive'
complete -c mctl -n __mctl_no_verb -a start -d 'Start containers'
complete -c mctl -n __mctl_no_verb -a stop -d 'Stop containers in good order'
complete -c mctl -n __mctl_no_verb -a unpause -d 'Let paused containers go on'
complete -c mctl -n __mctl_no_verb -a update -d 'Change the limits of containers'
complete -c mctl -n __mctl_no_verb -a tag -d 'Give an image one more name'
complete -c mctl -n __mctl_no_verb -a help -d 'Explain a verb'
complete -c mctl -n '__mctl_is help' -a 'attach check create exec image images import inspect kill logs network pause port ps rm rmi run save start stop tag unpause update'

set -l making '__mctl_is run create'
complete -c mctl -n $making -a '(__fish_complete_directories) (__mctl_images)'
complete -c mctl -n $making -l entrypoint -x -d 'Execute this in place of the image\'s'
complete -c mctl -n $making -l name -x -d 'How to call it'
complete -c mctl -n $making -l hostname -x -d 'Host name inside'
complete -c mctl -n $making -s e -l env -x -a '(set -nx)' -d 'Set a variable or pass on your own'
complete -c mctl -n $making -l env-file -r -F -d 'Variables from a file'
complete -c mctl -n $making -s w -l workdir -x -d 'Where the command begins'
complete -c mctl -n $making -s u -l user -x -d 'Who runs the command'
complete -c mctl -n $making -s l -l label -x -d 'A note of your own'
complete -c mctl -n $making -l network -x -a 'none (mctl --no-ask-password network ls -q)' -d 'A network, or none'
complete -c mctl -n $making -l net -x -a 'none (mctl --no-ask-password network ls -q)' -d 'A network, or none'
complete -c mctl -n $making -l ip -x -d 'Fixed IPv4 address'
complete -c mctl -n $making -s p -l publish -x -d 'A port of the host'
complete -c mctl -n $making -l stop-signal -x -a '(string split " " (kill -l))' -d 'What stop sends'
complete -c mctl -n $making -l stop-timeout -x -d 'How long stop waits'
complete -c mctl -n $making -l cap-add -x -d 'Give a capability'
complete -c mctl -n $making -l cap-drop -x -d 'Take a capability'
complete -c mctl -n $making -l security-opt -x -a 'strict seccomp=strict seccomp=unconfined no-new-privileges=false unmask=ALL' -d 'Strict, seccomp and others'
complete -c mctl -n $making -l privileged -d 'All capabilities, no filter, nothing hidden'
complete -c mctl -n $making -l userns -x -a 'auto host' -d 'User namespace'
complete -c mctl -n $making -l ulimit -x -d 'A resource limit'
complete -c mctl -n $making -l sysctl -x -d 'A kernel parameter'
complete -c mctl -n $making -l oom-score-adj -x -d '-1000 to 1000'
complete -c mctl -n $making -l init -d 'A reaper as its first process'
complete -c mctl -n $making -l device -r -F -d 'A device of the host'
complete -c mctl -n $making -l mount -x -d 'Show a path of the host, in full'
complete -c mctl -n $making -l tmpfs -x -d 'A directory in memory'
complete -c mctl -n $making -l read-only -d 'A root file system that cannot be written to'
complete -c mctl -n $making -l shm-size -x -d 'How much /dev/shm holds'
complete -c mctl -n $making -l add-host -x -d 'An entry for /etc/hosts'
complete -c mctl -n $making -l dns -x -d 'A name server'
complete -c mctl -n $making -s v -l volume -r -F -d 'Show a directory or file of the host'
complete -c mctl -n $making -s t -l tty -d 'Give it a terminal of its own'
complete -c mctl -n $making -l rm -d 'Remove it when it ends'
complete -c mctl -n $making -s q -l quiet -d 'No remarks'

set -l limited '__mctl_is run create update'
complete -c mctl -n $limited -s m -l memory -x -d 'Most memory'
complete -c mctl -n $limited -l memory-high -x -d 'Memory from which on it is slowed down'
complete -c mctl -n $limited -l memory-low -x -d 'Memory that others shall leave it'
complete -c mctl -n $limited -l memory-reservation -x -d 'Memory that others shall leave it'
complete -c mctl -n $limited -l swap -x -d 'Most memory and swap together'
complete -c mctl -n $limited -l memory-swap -x -d 'Most memory and swap together'
complete -c mctl -n $limited -l oom-group -d 'Kill all of it or nothing'
complete -c mctl -n $limited -l cpu -x -d 'Most CPUs'
complete -c mctl -n $limited -l cpus -x -d 'Most CPUs'
complete -c mctl -n $limited -l cpu-quota -x -d 'Most CPU time in a period, in microseconds'
complete -c mctl -n $limited -l cpu-period -x -d 'The period, in microseconds'
complete -c mctl -n $limited -l cpu-weight -x -d 'Share of CPUs, 1 to 10000'
complete -c mctl -n $limited -l cpu-shares -x -d 'Share of CPUs, 2 to 262144'
complete -c mctl -n $limited -l cpuset -x -d 'The CPUs it may use'
complete -c mctl -n $limited -l cpuset-cpus -x -d 'The CPUs it may use'
complete -c mctl -n $limited -l cpuset-mems -x -d 'The memory nodes it may use'
complete -c mctl -n $limited -l pids -x -d 'Most processes, 0 for no limit'
complete -c mctl -n $limited -l pids-limit -x -d 'Most processes, 0 for no limit'
complete -c mctl -n $limited -l io-weight -x -d 'Share of disks, 1 to 10000'
complete -c mctl -n $limited -l blkio-weight -x -d 'Share of disks, 10 to 1000'
complete -c mctl -n $limited -l io-read-bps -x -d 'Most bytes read in a second'
complete -c mctl -n $limited -l device-read-bps -x -d 'Most bytes read in a second'
complete -c mctl -n $limited -l io-write-bps -x -d 'Most bytes written in a second'
complete -c mctl -n $limited -l device-write-bps -x -d 'Most bytes written in a second'
complete -c mctl -n $limited -l io-read-iops -x -d 'Most reads in a second'
complete -c mctl -n $limited -l device-read-iops -x -d 'Most reads in a second'
complete -c mctl -n $limited -l io-write-iops -x -d 'Most writes in a second'
complete -c mctl -n $limited -l device-write-iops -x -d 'Most writes in a second'

complete -c mctl -n '__mctl_is run' -s d -l detach -d 'Leave it running'
complete -c mctl -n '__mctl_is run start' -s i -l interactive -d 'Pass on standard input'
complete -c mctl -n '__mctl_is create' -s i -l interactive -d 'Accepted and ignored'
complete -c mctl -n '__mctl_is start' -s a -l attach -d 'In the foreground'
complete -c mctl -n '__mctl_is run start attach' -l detach-keys -x -d 'What leaves the terminal'
complete -c mctl -n '__mctl_is attach' -l no-stdin -d 'Only look'
complete -c mctl -n '__mctl_is attach' -a '(__mctl_names)'

complete -c mctl -n '__mctl_is exec' -a '(__mctl_names)'
complete -c mctl -n '__mctl_is exec' -s d -l detach -d 'Do not wait'
complete -c mctl -n '__mctl_is exec' -s i -l interactive -d 'Pass on standard input'
complete -c mctl -n '__mctl_is exec' -s t -l tty -d 'Give it a terminal of its own'
complete -c mctl -n '__mctl_is exec' -s u -l user -x -d 'Who runs it'
complete -c mctl -n '__mctl_is exec' -s w -l workdir -x -d 'Where it begins'
complete -c mctl -n '__mctl_is exec' -s e -l env -x -a '(set -nx)' -d 'Set a variable or pass on your own'
complete -c mctl -n '__mctl_is exec' -l env-file -r -F -d 'Variables from a file'

complete -c mctl -n '__mctl_is start' -a '(__mctl_names -f state=created -f state=exited)'
complete -c mctl -n '__mctl_is stop kill' -a '(__mctl_names)'
complete -c mctl -n '__mctl_is pause freeze' -a '(__mctl_names -f state=running)'
complete -c mctl -n '__mctl_is unpause thaw' -a '(__mctl_names -f state=paused)'
complete -c mctl -n '__mctl_is rm logs inspect update port' -a '(__mctl_names -a)'
complete -c mctl -n '__mctl_is stop' -s t -l time -x -d 'How long to wait'
complete -c mctl -n '__mctl_is stop' -l timeout -x -d 'How long to wait'
complete -c mctl -n '__mctl_is stop' -s f -l force -d 'Kill at once'
complete -c mctl -n '__mctl_is kill' -s s -l signal -x -a '(string split " " (kill -l))' -d 'This signal'
complete -c mctl -n '__mctl_is kill' -s a -l all -d 'To all processes'
complete -c mctl -n '__mctl_is rm' -s f -l force -d 'Kill first'

set -l listing '__mctl_is ps list ls'
complete -c mctl -n $listing -s a -l all -d 'Also those that do not run'
complete -c mctl -n $listing -s q -l quiet -d 'Only ids'
complete -c mctl -n $listing -l no-trunc -d 'Whole ids and commands'
complete -c mctl -n $listing -s f -l filter -x -a 'state=created state=starting state=running state=paused state=stopping state=exited state=unreadable name= label=' -d 'Only those'
complete -c mctl -n $listing -l format -x -a 'table json ids' -d 'How to print'
complete -c mctl -n '__mctl_is check' -s q -l quiet -d 'Only what is missing'
complete -c mctl -n '__mctl_is ps list ls inspect check' -l json -d 'Print JSON'

complete -c mctl -n '__mctl_is logs' -s f -l follow -d 'Go on with new lines'
complete -c mctl -n '__mctl_is logs' -s n -l tail -x -d 'Only the last lines'
complete -c mctl -n '__mctl_is logs' -l since -x -d 'Only from then on'
complete -c mctl -n '__mctl_is logs' -l until -x -d 'Only before then'
complete -c mctl -n '__mctl_is logs' -s t -l timestamps -d 'With time'
complete -c mctl -n '__mctl_is logs' -s o -l output -x -a 'cat short-iso-precise json export' -d Mode
complete -c mctl -n '__mctl_is logs' -l raw -d 'Control characters as they are'

complete -c mctl -n '__mctl_is inspect' -s f -l format -x -d 'A template'
complete -c mctl -n '__mctl_is inspect' -l pretty -d 'For reading'
complete -c mctl -n '__mctl_is network' -a 'create ls inspect rm prune'
complete -c mctl -n '__mctl_is network' -a '(mctl --no-ask-password network ls -q)' -d 'Network'
complete -c mctl -n '__mctl_is network' -l subnet -x -d 'IPv4 addresses'
complete -c mctl -n '__mctl_is network' -l internal -d 'Without a way out, or in'
complete -c mctl -n '__mctl_is network' -s q -l quiet -d 'Only names'
complete -c mctl -n '__mctl_is network' -l json -d 'Print JSON'
complete -c mctl -n '__mctl_is port' -s p -l publish -x -d 'One more'
complete -c mctl -n '__mctl_is port' -l unpublish -x -d 'One less, by the host port'

complete -c mctl -n '__mctl_is image' -a 'check import inspect ls rm save share tag'
complete -c mctl -n '__mctl_is images rmi tag save image' -a '(__mctl_images)'
complete -c mctl -n '__mctl_is images' -s q -l quiet -d 'Only ids'
complete -c mctl -n '__mctl_is images' -l format -x -a 'table json' -d 'How to print'
complete -c mctl -n '__mctl_is images' -l no-trunc -d 'Whole ids'
complete -c mctl -n '__mctl_is images image' -l json -d 'Print JSON'
complete -c mctl -n '__mctl_is import image' -F
complete -c mctl -n '__mctl_is import image' -l busybox -d 'From this host\'s busybox-static'
complete -c mctl -n '__mctl_is import image' -l private -d 'Not shared with other users'
complete -c mctl -n '__mctl_is import image' -s c -l change -x -d 'An instruction as in a Dockerfile'
complete -c mctl -n '__mctl_is import image' -s m -l message -x -d 'A note for its history'
complete -c mctl -n '__mctl_is import image' -l author -x -d 'Who made it'
complete -c mctl -n '__mctl_is import' -s q -l quiet -d 'Only the id'
complete -c mctl -n '__mctl_is rmi image' -s f -l force -d 'Also where containers were made from it'
complete -c mctl -n '__mctl_is image' -l off -d 'Only its owner may use it'
complete -c mctl -n '__mctl_is save image' -s o -l output -r -F -d 'A file'
