"""The question about units as shell text: what systemd says of them, and what is on the disk for the next boot."""

from __future__ import annotations

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")
# Where a unit's file may be, the weakest first. What is in /run/systemd/system is gone at the boot; what a generator
# made of other files will be made again.
TOPS = (
    "/run/systemd/generator.late", "/lib/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system",
    "/run/systemd/generator", "/etc/systemd/system",
)  # fmt: skip
# The settings of a unit, as "FILE:Name=value", from its file and then its drop-ins: by the order of their names, of two
# with one name the last. What systemd reads past is left out: comments, and what stands in another section.
READ = r"""
NR == 1 { at[""] = $0; names[++count] = ""; next }
{ if (!($NF in at)) names[++count] = $NF; at[$NF] = $0 }
END {
  for (i = 2; i <= count; i++)
    for (j = i; j > 1 && names[j] < names[j - 1]; j--) {
      name = names[j]; names[j] = names[j - 1]; names[j - 1] = name
    }
  for (i = 1; i <= count; i++) {
    file = at[names[i]]; here = ""; line = ""
    while ((getline part < file) > 0) {
      if (part ~ /^[[:space:]]*[#;]/) continue
      line = line part
      if (sub(/\\$/, " ", line)) continue
      if (line ~ /^[[:space:]]*\[/) { here = line; gsub(/[][[:space:]]/, "", here) }
      else if ((section == "" || section == here) && line ~ "^[[:space:]]*(" words ")[A-Za-z]*[[:space:]]*=") {
        sub(/[[:space:]]+$/, "", line)
        print file ":" line
      }
      line = ""
    }
    close(file)
  }
}
"""
# What is about a place that the next boot empties is no question now; nor are, then, the conditions of which one is
# enough.
LASTING = r"""
/=[[:space:]|!]*\/(run|tmp|var\/run|dev\/shm)(\/|$)/ { if (/=[[:space:]]*[|]/) open[kind($0)] = 1; next }
{ kept[++count] = $0 }
END { for (i = 1; i <= count; i++) if (!(kind(kept[i]) in open) || kept[i] !~ /=[[:space:]]*[|]/) print kept[i] }
function kind(line) { return line ~ /:[[:space:]]*Assert/ ? "Assert" : "Condition" }
"""
# The boot reads the files, whatever systemd read before; so all this is asked of the files. A unit of which only its
# alias is left is enabled for systemctl, but nothing wants it. Conditions are put to systemd's own judge, only where
# there are any, because that takes a Pi its time; those about what is gone at the next boot cannot be judged before it.
# Nor is there another judge of whether systemd accepts a unit: it is asked, once for all, where somebody wrote below
# /etc, where it has refused one already, or where a program is gone. `root` is for tests.
SCRIPT = """\
root= tops='{tops}' each={each}
set -- {units}
shown=$(systemctl show -p {properties} -- "$@") || exit
printf '%%s\\n' "$shown"
case $shown in *LoadState=bad-setting*|*LoadState=error*) refused=yes ;; *) refused= ;; esac
fragment() {{
  file=
  for top in $tops; do [ ! -e "$root$top/$1" ] || file=$root$top/$1; done
}}
is_wanted() {{
  for top in $tops; do
    for link in "$root$top"/*.wants/"$1" "$root$top"/*.requires/"$1" "$root$top"/*.upholds/"$1"; do
      [ -L "$link" ] || [ -e "$link" ] || continue
      case $link in */rescue.target.*|*/emergency.target.*) ;; *) return 0 ;; esac
    done
  done
  return 1
}}
is_changed() {{
  for one in "$root/etc/systemd/system/$1" "$root/etc/systemd/system/$1.d"/*.conf \\
    "$root/etc/systemd/system/${{1##*.}}.d"/*.conf; do
    [ ! -L "$one" ] && [ ! -e "$one" ] || return 0
  done
  return 1
}}
in_files() {{
  fragment "$3"
  {{
    printf '%%s\n' "$file"
    for folder in "${{3##*.}}.d" "$3.d"; do
      for top in /lib /usr/lib /usr/local/lib /etc; do printf '%%s\n' "$root$top/systemd/system/$folder"/*.conf; done
    done
  }} | awk -F/ -v words="$1" -v section="$2" '{read}'
}}
lacks_program() {{
  in_files ExecStart '' "$1" | sed -n 's/^[^=]*=[[:space:]]*[@:+!|]*\\(\\/[^[:space:]]*\\).*/\\1/p' |
    while read -r program; do [ -x "$root$program" ] || {{ echo yes; break; }}; done
}}
conditions() {{
  found=$(in_files 'Condition|Assert' Unit "$1" | awk '{lasting}')
  while [ -n "$found" ]; do
    said=$(printf '%%s\n' "$found" | sed 's/^[^:]*:[[:space:]]*//' | xargs -d '\n' systemd-analyze condition 2>&1)
    code=$?
    odd=$(printf '%%s\n' "$said" | sed -n 's/^Cannot parse "\\(.*\\)"\\.*$/\\1/p')
    [ -n "$odd" ] || break
    found=$(printf '%%s\n' "$found" | grep -vF -- "$odd")
  done
  [ -n "$found" ] || return 0
  id=$(systemctl show -P Id -- "$1")
  printf '\nConditions=%%s\n%%s\n%%s\nexit %%s\n' "$id" "$found" "$said" "$code"
}}
verify() {{
  said=$(cd / && SYSTEMD_LOG_COLOR=0 SYSTEMD_UNIT_PATH={path} systemd-analyze verify --man=no -- "$@" 2>&1)
  printf '\\nVerified=%%s\\nexit %%s\\n' "$*" $?
  printf '%%s\\n' "$said" | grep .
  for unit; do in_files Exec '' "$unit"; done
}}
for unit; do
  shift
  fragment "$unit"
  [ -n "$file" ] || {{ printf '\\nUnwanted=%%s\\n' "$unit"; continue; }}
  [ -s "$file" ] || {{ printf '\\nMasked=%%s\\n' "$unit"; continue; }}
  is_wanted "$unit" || {{ printf '\\nUnwanted=%%s\\n' "$unit"; [ "$each" ] || continue; }}
  conditions "$unit"
  [ -z "$refused" ] && ! is_changed "$unit" && [ -z "$(lacks_program "$unit")" ] || set -- "$@" "$unit"
done
[ $# = 0 ] || verify "$@"
"""
# Where the boot goes to: asked once, by the step that all others wait for.
TARGET = """\
for top in /lib /usr/lib /usr/local/lib /etc; do
  target=$root$top/systemd/system/default.target
  [ ! -L "$target" ] || default=$(readlink -m "$target")
done
printf '\\nDefault=%%s\\n' "${default##*/}"
"""


def command(*units: str, and_target: bool = False, need_each_other: bool = False) -> str:
    """Shell text for `NodeAccess.ask` as root, with a `%s` for each unit.

    What no target wants starts neither way, so nothing else is asked of it, but where another unit needs it.
    """
    text = SCRIPT.format(
        units=" ".join("%s" for _ in units),
        properties=",".join(PROPERTIES),
        tops=" ".join(TOPS),
        # By itself it looks for nothing that a generator made, and misses it.
        path=":".join(reversed(TOPS)),
        each="yes" if need_each_other else "",
        read=READ,
        lasting=LASTING,
    )
    return f"{text}{TARGET}" if and_target else text
