"""A browser for a lab node, which has no other: reads steps as JSON, prints what each gave. Standard library only.

A step is [page] to look at, or [page, {field: value}] to send a form; the hidden field of the last page goes with it.
Each answer is {status, url, text, cookies}. The arguments are the address of the site, the steps, and a cookie that
the browser has from somewhere (empty: none).
"""

import http.cookiejar
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

LIMIT = 90


def main() -> None:
    """Do the steps one after the other, with one jar of cookies."""
    site, steps, cookie = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.addheaders = [("Cookie", cookie)] if cookie else []
    form, answers = "", []
    for page, *fields in steps:
        data = urllib.parse.urlencode({"form": form, **fields[0]}).encode() if fields else None
        try:
            answer = opener.open(urllib.parse.urljoin(site, page), data, timeout=LIMIT)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read().decode()
        hidden = re.search('name="form" value="([0-9a-f]+)"', text)
        form = hidden[1] if hidden else form
        cookies = {cookie.name: cookie.value for cookie in jar}
        answers.append({"status": answer.status, "url": answer.url, "text": text, "cookies": cookies})
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
