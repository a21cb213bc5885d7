# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for luctl, by what the bash one offers: one description of verbs and options for all shells.
function __luctl_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    test (count $words) -gt 0; or return
    bash -c '
source /usr/share/bash-completion/completions/luctl
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_luctl && printf "%s\n" "${COMPREPLY[@]}"' bash $words $current 2>/dev/null
end
complete --command luctl --no-files --arguments '(__luctl_complete)'
complete --command luctl --condition '__fish_seen_argument --long kernel --long initrd --long save --long file' --force-files
