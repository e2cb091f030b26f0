package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

const value = "200 requests in a second, and not one more"

// ask sends a request to `netfault serve`, which NETFAULT_URL names.
func ask(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	text, _ := json.Marshal(body)
	request, _ := http.NewRequest(method, os.Getenv("NETFAULT_URL")+path, bytes.NewReader(text))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(response.Body)
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, path, said)
	}
	answer := map[string]any{}
	_ = json.Unmarshal(said, &answer)
	return answer
}

// proxied starts the service and a proxy in front of it; it returns the address of the proxy.
func proxied(t *testing.T) string {
	if os.Getenv("NETFAULT_URL") == "" {
		t.Skip("start `netfault serve`, and set NETFAULT_URL=http://127.0.0.1:8474")
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, value)
	}))
	t.Cleanup(service.Close)
	upstream := strings.TrimPrefix(service.URL, "http://")
	proxy := map[string]any{"name": "go", "listen": "127.0.0.1:0", "upstream": upstream}
	address := ask(t, "POST", "/proxies", proxy)["listen"].(string)
	t.Cleanup(func() { ask(t, "DELETE", "/proxies/go", nil) })
	return address
}

// step is 1: every byte. NETFAULT_STEP makes a run shorter.
func step() int {
	if step, err := strconv.Atoi(os.Getenv("NETFAULT_STEP")); err == nil {
		return step
	}
	return 1
}

// sweep cuts the next connection after each byte of an answer in turn, and calls after each cut.
func sweep(t *testing.T, address string, get func(string) (string, error), check func(cut int, got string, err error)) {
	if _, err := get(address); err != nil { // undisturbed: how long is an answer?
		t.Fatal(err)
	}
	size := int(ask(t, "GET", "/netfault/proxies/go/bytes", nil)["down_sent"].(float64))
	for cut := 0; cut <= size; cut += step() {
		next := ask(t, "GET", "/netfault/proxies/go", nil)["accepted"].(float64) + 1
		ask(t, "POST", "/netfault/proxies/go/faults", map[string]any{
			"fault": "cut", "after_bytes": cut, "direction": "down", "connection": next, "how": []string{"fin", "rst"}[cut%2],
		})
		got, err := get(address)
		check(cut, got, err)
		ask(t, "DELETE", "/netfault/proxies/go/faults", nil)
	}
}

func TestTheValueIsWholeWhereverTheConnectionIsCut(t *testing.T) {
	sweep(t, proxied(t), Get, func(cut int, got string, err error) {
		if err != nil || got != value {
			t.Errorf("cut after %d bytes: %q, %v", cut, got, err)
		}
	})
}

func TestTheCarelessClientIsCaught(t *testing.T) {
	var wrong []string
	sweep(t, proxied(t), GetCarelessly, func(cut int, got string, err error) {
		if err == nil && got != value {
			wrong = append(wrong, fmt.Sprintf("%d: %q", cut, got))
		}
	})
	if len(wrong) == 0 {
		t.Error("it took every value for whole, and none was cut")
	}
	t.Logf("it returned half a value in %d places", len(wrong))
}

func TestSilenceEndsAtTheTimeout(t *testing.T) {
	address := proxied(t)
	toxic := map[string]any{"type": "timeout", "name": "silence", "attributes": map[string]int{"timeout": 0}}
	ask(t, "POST", "/proxies/go/toxics", toxic)
	if got, err := Get(address); err == nil {
		t.Errorf("it says %q, and nothing came", got)
	}
	ask(t, "DELETE", "/proxies/go/toxics/silence", nil)
	if got, err := Get(address); got != value {
		t.Errorf("it did not come back: %q, %v", got, err)
	}
}
