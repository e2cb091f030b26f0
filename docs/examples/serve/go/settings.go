// Package settings is a small client of a service that keeps settings: it tries again until it has the whole value.
package settings

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Get returns the value that the service has, or an error after three attempts of a second.
func Get(address string) (string, error) {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err := errors.New("not tried")
	for range 3 {
		var response *http.Response
		if response, err = client.Get("http://" + address + "/limit"); err != nil {
			continue
		}
		var value []byte
		value, err = io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK {
			return string(value), nil
		}
	}
	return "", err
}

// GetCarelessly does the same and takes what it has got for the whole, as `ioutil.ReadAll` without a look at the error.
func GetCarelessly(address string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/limit")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	value, _ := io.ReadAll(response.Body)
	return string(value), nil
}
