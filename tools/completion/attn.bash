# attn.bash - completes attn, attn-bench and attn-plot in bash, from what they say with --help.
# SPDX-License-Identifier: BSD-3-Clause

# The rows of options in a help, without what explains them: "-q --query FILE".
_attn_rows() {
  sed -nE '/^ {2,6}-/ { s/^ +//; s/  .*//; s/,//g; p }'
}

_attn_options() {
  grep -oE -- '(^| )--?[[:alnum:]][[:alnum:]-]*'
}

_attn_value() { # what follows the option $1; nothing if it stands alone
  local words word
  while read -ra words; do
    [[ " ${words[*]} " == *" $1 "* ]] || continue
    for word in "${words[@]}"; do [[ $word == -* ]] || { echo "$word"; return; }; done
  done
}

_attn_commands() { # as "attn --help" lists them
  sed -nE 's/^  attn ([a-z]+)( [A-Z]+)?  .*/\1/p'
}

_attn() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= rows value=
  if [[ $word == "=" ]]; then word=
  elif [[ $before == "=" ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  if [[ ${program##*/} == attn ]]; then
    command=${COMP_WORDS[1]}
    if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $command == help ]]; }; then
      COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null | _attn_commands) --help --version" -- "$word"))
      return
    fi
  fi
  rows=$("$program" $command --help 2>/dev/null </dev/null | _attn_rows)
  [[ $before == -* ]] && value=$(_attn_value "$before" <<<"$rows")
  if [[ $value == *"|"* ]]; then
    COMPREPLY=($(compgen -W "${value//|/ }" -- "$word"))
  elif [[ $value == FOLDER ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$word"))
  elif [[ -n $value && $value != FILE ]]; then
    return
  elif [[ -z $value && $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(_attn_options <<<"$rows") --help" -- "$word"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}

complete -F _attn attn attn-bench attn-plot
